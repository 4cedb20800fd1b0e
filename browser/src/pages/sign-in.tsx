import { useEffect, useRef, useState } from "preact/hooks";
import { inWords, type Problem } from "../core/problem";
import type { SessionState } from "../state/session";
import type { Principal } from "../wire/shapes";
import { Heading } from "./heading";
import { Mark } from "./marks";
import { usePortal } from "./use-portal";
import { counted } from "./words";

const DEMO_ACCOUNTS = [
  { email: "ada@tidewater.example", who: "Ada, a learner" },
  { email: "ben@tidewater.example", who: "Ben, an administrator" },
];
const DEMO_PASSWORD = "holdfast-demo";

/** Nobody is called signed out before the server has ended the session behind the cookie. */
const TITLES = { none: "Sign in", telling: "Screen locked", owed: "Screen locked", told: "Signed out" };

type Left = Extract<SessionState, { phase: "out" }>;

export function SignInPage({ left }: { left: Left }) {
  return (
    <div class="sign-in">
      <Heading title={TITLES[left.farewell ?? "none"]} />
      <Farewell farewell={left.farewell} />
      <WhatWaits last={left.last} />
      {/* The server would end the next person's session together with the last one's. */}
      {left.farewell !== "telling" && <SignInForm email={left.last?.email ?? ""} />}
    </div>
  );
}

function Farewell({ farewell }: { farewell: Left["farewell"] }) {
  const { session } = usePortal();
  return (
    <div role="status">
      {farewell === "telling" && <p>This screen is locked. Telling the server…</p>}
      {farewell === "told" && <p>You are signed out, here and on the server.</p>}
      {farewell === "owed" && (
        <div class="alarm">
          <p>
            <Mark sign="warn" /> <strong>The server does not know yet.</strong> It can’t be reached, and only
            it can end your session. This browser tells it as soon as it answers, also after a restart. Until
            then, do not leave this device to somebody you do not trust.
          </p>
          <button type="button" class="quiet" onClick={() => void session.ask()}>
            Tell it now
          </button>
        </div>
      )}
    </div>
  );
}

/** What lies on this device of people who are not signed in. Whose it is, is not told to the next person. */
function WhatWaits({ last }: { last: Principal | undefined }) {
  const { outbox, sealed } = usePortal();
  const open = outbox.openWork.value.length;
  const others = sealed.all.value.reduce((sum, { count }) => sum + count, 0);
  return (
    <>
      {last && open > 0 && (
        <p class="note">
          <Mark sign="tick" /> {counted(open, "thing", "things")} you did {open === 1 ? "waits" : "wait"} on
          this device. Sign in as {last.email}, and {open === 1 ? "it goes" : "they go"} to the server.
        </p>
      )}
      {others > 0 && (
        <p class="note">
          <Mark sign="tick" /> {counted(others, "thing", "things")} of somebody who signed out{" "}
          {others === 1 ? "is" : "are"} kept sealed on this device, until that person signs in here again.
          Nobody else sees or sends {others === 1 ? "it" : "them"}.
        </p>
      )}
    </>
  );
}

/** With an e-mail already known, the password is what is asked for. */
export function SignInForm({ email: firstEmail = "", onDone }: { email?: string; onDone?: () => void }) {
  const { session, health } = usePortal();
  const [email, setEmail] = useState(firstEmail);
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [asking, setAsking] = useState(false);
  const passwordField = useRef<HTMLInputElement>(null);

  useEffect(() => {
    if (firstEmail) passwordField.current?.focus();
  }, [firstEmail]);

  async function submit(event: Event) {
    event.preventDefault();
    if (asking) return;
    setAsking(true);
    setProblem(undefined);
    const failed = await session.signIn(email.trim(), password);
    setAsking(false);
    setProblem(failed);
    if (failed) passwordField.current?.select();
    else onDone?.();
  }

  return (
    <>
      <form onSubmit={submit}>
        <label class="field">
          E-mail
          <input
            type="email"
            name="email"
            autocomplete="username"
            required
            value={email}
            onInput={(event) => setEmail(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          Password
          <input
            ref={passwordField}
            type="password"
            name="password"
            autocomplete="current-password"
            required
            value={password}
            onInput={(event) => setPassword(event.currentTarget.value)}
          />
        </label>
        <p class="form-problem" role="alert">
          {problem && wordsOf(problem)}
        </p>
        <button type="submit" disabled={asking}>
          {asking ? "Signing in…" : "Sign in"}
        </button>
      </form>
      {health.service.value.health?.demo && (
        <section class="demo-accounts" aria-label="Accounts of the demonstration">
          <p>
            This is a demonstration. The password of each account is <code>{DEMO_PASSWORD}</code>.
          </p>
          <ul>
            {DEMO_ACCOUNTS.map((account) => (
              <li key={account.email}>
                <button
                  type="button"
                  class="quiet"
                  onClick={() => {
                    setEmail(account.email);
                    setPassword(DEMO_PASSWORD);
                  }}
                >
                  {account.who}
                </button>{" "}
                <code>{account.email}</code>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function wordsOf(problem: Problem): string {
  if (problem.code === "wrong_credentials") return "E-mail or password is not right.";
  return `${inWords(problem)} ${problem.hint}`.trim();
}
