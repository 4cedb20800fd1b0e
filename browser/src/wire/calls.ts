/** The calls this page makes, by name. */
import {
  believeCourse,
  believeCourseList,
  believeHealth,
  believeLesson,
  believeNothing,
  believeSession,
} from "./believe";
import type { Answer, Wire } from "./client";
import type { Course, CourseList, Health, Lesson, Session } from "./shapes";

const segment = encodeURIComponent;

/** What the device still holds, told with every batch; health adds it up for the org. */
export interface Backlog {
  count: number;
  lagMs: number;
}

export type Calls = ReturnType<typeof createCalls>;

export function createCalls(wire: Wire) {
  return {
    session: (): Promise<Answer<Session>> =>
      wire.call({ method: "GET", path: "/api/auth/session" }, believeSession),

    login: (email: string, password: string): Promise<Answer<Session>> =>
      wire.call(
        { method: "POST", path: "/api/auth/login", body: JSON.stringify({ email, password }) },
        believeSession,
      ),

    /** The token is named, because the page may have left the session already that it ends. */
    logout: (csrfToken: string | null): Promise<Answer<null>> =>
      wire.call(
        {
          method: "POST",
          path: "/api/auth/logout",
          ...(csrfToken !== null && { headers: { "X-CSRF-Token": csrfToken } }),
        },
        believeNothing,
      ),

    courses: (): Promise<Answer<CourseList>> =>
      wire.call({ method: "GET", path: "/api/client/courses" }, believeCourseList),

    course: (courseId: string): Promise<Answer<Course>> =>
      wire.call({ method: "GET", path: `/api/client/courses/${segment(courseId)}` }, believeCourse),

    lesson: (courseId: string, lessonId: string): Promise<Answer<Lesson>> =>
      wire.call(
        { method: "GET", path: `/api/client/courses/${segment(courseId)}/lessons/${segment(lessonId)}` },
        believeLesson,
      ),

    health: (): Promise<Answer<Health>> => wire.call({ method: "GET", path: "/api/health" }, believeHealth),
  };
}
