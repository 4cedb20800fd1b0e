import { useEffect, useState } from "preact/hooks";
import { LocationProvider, Route, Router, useLocation } from "preact-iso";
import { inWords } from "../core/problem";
import type { Portal } from "../state/portal";
import type { Principal } from "../wire/shapes";
import { Banner } from "./banner";
import { BrokenPage } from "./broken-page";
import { CoursesPage } from "./courses";
import { Heading } from "./heading";
import { later } from "./later";
import { Brand } from "./marks";
import { SaveLine, Standing } from "./save-line";
import { SignInPage } from "./sign-in";
import { SignInAgain } from "./sign-in-again";
import { SignOut } from "./sign-out";
import { Toasts } from "./toasts";
import { PortalContext, usePortal } from "./use-portal";

/** Links to the server's own answers and to a lesson's files are the browser's to follow, not ours. */
const OUR_PAGES = /^\/(?!api\/)/;

export function App({ portal }: { portal: Portal }) {
  return (
    <PortalContext.Provider value={portal}>
      <LocationProvider scope={OUR_PAGES}>
        <Frame />
        <Toasts portal={portal} />
      </LocationProvider>
    </PortalContext.Provider>
  );
}

const AccountPage = later(() => import("./account").then((module) => module.AccountPage));
const AdminPages = later(() => import("./admin/index").then((module) => module.default));
const CoursePage = later(() => import("./course").then((module) => module.CoursePage));
const LessonPage = later(() => import("./lesson").then((module) => module.LessonPage));
const WaitingPage = later(() => import("./waiting").then((module) => module.WaitingPage));
const OperatorPages = later(() => import("./operator/index").then((module) => module.default));
const StaffPage = later(() => import("./staff").then((module) => module.StaffPage));

function Frame() {
  const { session, health } = usePortal();
  const { url } = useLocation();
  const state = session.state.value;
  const principal = session.session.value?.principal;
  // "Not now" is about this ending of the session; the next one asks again.
  const [putOff, setPutOff] = useState<unknown>();
  const demo = session.session.value?.demo || health.service.value.health?.demo;
  const askAgain = () => setPutOff(undefined);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header>
        <div class="top">
          <a class="brand" href="/">
            <Brand /> Holdfast
          </a>
          {principal && <Person principal={principal} />}
        </div>
        {demo && <p class="demo-line">Demonstration portal: data here is for trying things out</p>}
        <Banner spoken />
      </header>
      <main id="main" tabIndex={-1}>
        <BrokenPage at={url}>
          <Content />
        </BrokenPage>
      </main>
      <SaveLine {...(state.phase === "expired" && { onSignIn: askAgain })} />
      {state.phase === "expired" && putOff !== state && <SignInAgain onLater={() => setPutOff(state)} />}
    </>
  );
}

function Content() {
  const { session } = usePortal();
  const state = session.state.value;
  switch (state.phase) {
    case "asking":
      return <p class="loading">Asking the server who is signed in…</p>;
    case "unknown":
      return (
        <section>
          <Heading title="We could not ask the server" />
          <p role="alert">
            {inWords(state.problem)} Whether you are signed in is not known until it answers; this page asks
            again by itself.
          </p>
          <button type="button" onClick={() => void session.ask()}>
            Try now
          </button>
        </section>
      );
    case "out":
      return <SignInPage left={state} />;
    case "in":
    case "expired":
    case "remembered": {
      const { principal } = state.session;
      // A page keeps nothing for the next person: another owner starts with fresh ones.
      return <Pages key={`${principal.orgId} ${principal.userId}`} principal={principal} />;
    }
  }
}

/** Once the first page stands, the next ones are fetched too: they are needed most without a network. */
const FETCH_AHEAD_MS = 1_000;

function Pages({ principal }: { principal: Principal }) {
  const { clock } = usePortal();
  useEffect(
    () =>
      clock.after(FETCH_AHEAD_MS, () => {
        for (const page of [CoursePage, LessonPage, WaitingPage]) page.ahead();
      }),
    [],
  );
  const learns = isLearner(principal);
  const runs = isAdmin(principal);
  const operates = isOperator(principal);
  // Opening a lesson declares that somebody learns there: who only runs the school must not, by accident.
  const learning = [
    <Route key="course" path="/courses/:courseId" component={CoursePage} />,
    <Route key="lesson" path="/courses/:courseId/lessons/:lessonId" component={LessonPage} />,
  ];
  const administration = ["/admin", "/admin/*"].map((path) => (
    <Route key={path} path={path} component={Administration} />
  ));
  const operation = ["/operator", "/operator/*"].map((path) => (
    <Route key={path} path={path} component={Operation} />
  ));
  return (
    <Router>
      <Route
        path="/"
        component={learns ? CoursesPage : runs ? Administration : operates ? Operation : StaffPage}
      />
      {learns ? learning : []}
      {runs ? administration : []}
      {operates ? operation : []}
      <Route path="/waiting" component={WaitingPage} />
      <Route path="/account" component={AccountPage} />
      <Route path="/staff" component={StaffPage} />
      <Route default component={NoSuchPage} />
    </Router>
  );
}

const Administration = () => <AdminPages portal={usePortal()} />;
const Operation = () => <OperatorPages portal={usePortal()} />;

const isLearner = ({ roles }: Principal): boolean => roles.includes("learner");
const isAdmin = ({ roles }: Principal): boolean => roles.includes("admin");
const isOperator = ({ roles }: Principal): boolean => roles.includes("operator");
const isStaff = (principal: Principal): boolean => isAdmin(principal) || isOperator(principal);

function Person({ principal }: { principal: Principal }) {
  const org = principal.orgs.find(({ id }) => id === principal.orgId);
  return (
    <div class="person">
      <span>
        <a href="/account" title="Your account">
          {principal.name}
        </a>
        {org && <span class="small"> {org.name}</span>}
      </span>
      <Standing />
      {isLearner(principal) && isAdmin(principal) && <a href="/admin">Administration</a>}
      {isOperator(principal) && (isLearner(principal) || isAdmin(principal)) && (
        <a href="/operator">Operation</a>
      )}
      {isStaff(principal) && <a href="/staff">Your roles</a>}
      <SignOut />
    </div>
  );
}

function NoSuchPage() {
  return (
    <>
      <Heading title="There is no such page" />
      <p>
        <a href="/">Go to the first page</a>
      </p>
    </>
  );
}
