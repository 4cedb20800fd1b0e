/** The calls of an administrator's pages, by name. Loaded with those pages, not with a learner's. */
import type { Believe } from "./believe";
import type { Answer, Wire } from "./client";
import { having, query, segment } from "./having";
import type { components } from "./schema";

type Schemas = components["schemas"];
export type CourseRow = Schemas["CourseRow"];
export type CourseDetail = Schemas["CourseDetail"];
export type CourseChange = { title?: string; description?: string; archived?: boolean };
export type ImportReport = Schemas["ImportReport"];
export type Person = Schemas["Person"];
export type Role = Person["roles"][number];
export type PeoplePage = Schemas["PeoplePage"];
export type PeopleFound = Schemas["PeopleFound"];
export type RosterReport = Schemas["RosterReport"];
export type AssignmentItem = Schemas["AssignmentItem"];
export type AssignmentPage = Schemas["AssignmentPage"];
export type Refused = Schemas["Refused"];
export type Assigning = Schemas["Assigning"];
export type Overview = Schemas["Overview"];
export type CourseInsight = Schemas["CourseInsight"];
export type OverviewTable = "courses" | "events" | "completed" | "heard";
export type CourseTable = "lessons" | "events" | "completed";

export interface PeopleAsk {
  search?: string;
  role?: Role;
  active?: boolean;
  withoutCourse?: string;
  limit?: number;
  after?: string;
}
export interface AssignmentsAsk {
  courseId?: string;
  search?: string;
  overdue?: boolean;
  limit?: number;
  after?: string;
}

/** A course of 64 MB on a slow line, and a long list whose passwords are hashed one by one. */
const UPLOAD_DEADLINE_MS = 600_000;

export type AdminCalls = ReturnType<typeof createAdminCalls>;

export function createAdminCalls(wire: Wire) {
  const get = <T>(path: string, believe: Believe<T>): Promise<Answer<T>> =>
    wire.call({ method: "GET", path }, believe);
  const write = <T>(method: "POST" | "PATCH", path: string, body: object, believe: Believe<T>) =>
    wire.call({ method, path, body: JSON.stringify(body) }, believe);
  const upload = <T>(path: string, file: Blob, type: string, believe: Believe<T>) =>
    wire.call(
      { method: "POST", path, body: file, headers: { "Content-Type": type }, deadlineMs: UPLOAD_DEADLINE_MS },
      believe,
    );
  const csv = (path: string) =>
    wire.call({ method: "GET", path, reads: "text", headers: { Accept: "text/csv" } }, believeCsv);

  return {
    courses: () => get("/api/admin/courses", having<Schemas["CourseTable"]>("items")),
    course: (id: string) =>
      get(`/api/admin/courses/${segment(id)}`, having<CourseDetail>("course", "lessons")),
    changeCourse: (id: string, change: CourseChange) =>
      write("PATCH", `/api/admin/courses/${segment(id)}`, change, having<CourseRow>("id", "title")),
    /** `existing`: whether another course of the same id is replaced, or asked about first. */
    importCourse: (file: Blob, asked: { id?: string; existing: "ask" | "replace" }) =>
      upload(
        `/api/admin/courses/import${query(asked)}`,
        file,
        "application/zip",
        having<ImportReport>("courseId", "title", "dangling", "warnings"),
      ),

    people: (asked: PeopleAsk) =>
      get(`/api/admin/users${query(asked)}`, having<PeoplePage>("items", "total")),
    findPeople: (asked: readonly string[]) =>
      write("POST", "/api/admin/users/find", { asked }, having<PeopleFound>("items", "unknown")),
    addPerson: (person: { email: string; name: string; roles: Role[]; password?: string }) =>
      write("POST", "/api/admin/users", person, having<Person>("id", "email", "roles")),
    changePerson: (id: string, change: { name?: string; roles?: Role[]; active?: boolean }) =>
      write("PATCH", `/api/admin/users/${segment(id)}`, change, having<Person>("id", "email", "roles")),
    importPeople: (file: Blob) =>
      upload("/api/admin/users/import", file, "text/csv", having<RosterReport>("created", "failed")),

    assignments: (asked: AssignmentsAsk) =>
      get(`/api/admin/assignments${query(asked)}`, having<AssignmentPage>("items")),
    recentAssigning: () => get("/api/admin/assigning", having<Schemas["AssigningList"]>("items")),
    assigning: (id: string) => get(`/api/admin/assigning/${segment(id)}`, having<Assigning>("id", "state")),

    overview: () => get("/api/admin/analytics/overview", having<Overview>("courses", "dataFreshAsOf")),
    overviewCsv: (table: OverviewTable) => csv(`/api/admin/analytics/overview${query({ table })}`),
    courseInsight: (id: string) =>
      get(`/api/admin/analytics/courses/${segment(id)}`, having<CourseInsight>("lessons", "dataFreshAsOf")),
    courseCsv: (id: string, table: CourseTable) =>
      csv(`/api/admin/analytics/courses/${segment(id)}${query({ table })}`),
  };
}

/** A login page that answers in the server's place is HTML, whatever was asked for. */
const believeCsv: Believe<string> = (value, headers) =>
  typeof value === "string" && headers.get("Content-Type")?.startsWith("text/csv") ? value : undefined;
