/** The calls this page makes, by name. */
import {
  believeCourse,
  believeCourseList,
  believeHealth,
  believeLesson,
  believeNothing,
  believeReceipts,
  believeSession,
} from "./believe";
import type { Answer, Wire } from "./client";
import type { Course, CourseList, Health, Lesson, Receipts, Session } from "./shapes";

const segment = encodeURIComponent;

/** What the device still holds, told with every batch; health adds it up for the org. */
export interface Backlog {
  count: number;
  lagMs: number;
}

/** Browsers bound all keepalive requests of a page together at 64 KiB: only small batches may ask for it. */
const KEEPALIVE_UP_TO_CHARS = 16_000;

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

    logout: (): Promise<Answer<null>> =>
      wire.call({ method: "POST", path: "/api/auth/logout" }, believeNothing),

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

    /** Sends a batch whose text is already written; see `batch.ts`. */
    batch: (path: string, text: string, backlog: Backlog): Promise<Answer<Receipts>> =>
      wire.call(
        {
          method: "POST",
          path,
          body: text,
          headers: {
            "X-Client-Queue-Backlog": String(backlog.count),
            "X-Client-Queue-Lag": String(Math.round(backlog.lagMs)),
          },
          keepalive: text.length <= KEEPALIVE_UP_TO_CHARS,
        },
        believeReceipts,
      ),
  };
}
