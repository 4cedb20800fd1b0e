import { useEffect } from "preact/hooks";
import { useLocation } from "preact-iso";
import "../../looks/admin.css";
import { adminOf } from "../../state/admin";
import type { Portal } from "../../state/portal";
import { Heading } from "../heading";
import { later } from "../later";
import { AssignPage } from "./assign";
import { AssignmentsPage } from "./assignments";
import { CoursePage } from "./course";
import { CoursesPage } from "./courses";
import { PeoplePage } from "./people";
import { AdminContext } from "./use-admin";

const ChartsPage = later(() => import("./charts").then((module) => module.ChartsPage));

const PLACES = [
  ["courses", "Courses"],
  ["people", "People"],
  ["assign", "Assign"],
  ["assignments", "Who has done what"],
  ["charts", "How it goes"],
] as const;

/** Everything under /admin; the learner's first load has none of it. */
// biome-ignore lint/style/noDefaultExport: a page that is loaded when opened is its module's one thing
export default function AdminPages({ portal }: { portal: Portal }) {
  const { path } = useLocation();
  const owner = portal.session.owner.value;
  const isAdmin = portal.session.session.value?.principal.roles.includes("admin") === true;
  const admin = owner && isAdmin ? adminOf(portal, owner) : undefined;
  useEffect(() => admin?.assigning.follow(), [admin]);
  if (admin === undefined) return <Heading title="These pages are for administrators" />;
  const [place = "courses", id] = partsOf(path);
  return (
    <AdminContext.Provider value={admin}>
      <div class="admin">
        <nav class="places" aria-label="Administration">
          {PLACES.map(([key, name]) => (
            <a key={key} href={`/admin/${key}`} {...(key === place && { "aria-current": "page" as const })}>
              {name}
            </a>
          ))}
        </nav>
        <Place place={place} id={id} />
      </div>
    </AdminContext.Provider>
  );
}

function Place({ place, id }: { place: string; id: string | undefined }) {
  switch (place) {
    case "courses":
      return id === undefined ? <CoursesPage /> : <CoursePage key={id} courseId={id} />;
    case "people":
      return <PeoplePage />;
    case "assign":
      return <AssignPage />;
    case "assignments":
      return <AssignmentsPage />;
    case "charts":
      return <ChartsPage courseId={id} />;
    default:
      return (
        <>
          <Heading title="There is no such page" />
          <p>
            <a href="/admin/courses">Go to the courses</a>
          </p>
        </>
      );
  }
}

/** What stands after /admin/, as it was before it was put into an address. */
function partsOf(path: string): string[] {
  const parts = path.split("/").slice(2).filter(Boolean);
  try {
    return parts.map(decodeURIComponent);
  } catch {
    return parts;
  }
}
