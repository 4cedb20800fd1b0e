/**
 * The shapes on the wire. Everything in this page takes them from here and from nowhere else:
 * once the server emits its OpenAPI, `npm run types` writes `schema.d.ts`, and these names become
 * aliases of the generated ones.
 */

// Who asks

export interface Principal {
  userId: string;
  /** The org that calls act in; none for an operator who belongs to no school. */
  orgId: string | null;
  orgs: { id: string; name: string; roles: string[] }[];
  /** What this person is in that org; further roles may come with later servers. */
  roles: string[];
  email: string;
  name: string;
}

export interface Session {
  principal: Principal;
  /** Goes with each write; null where a bearer token asks, which needs none. */
  csrfToken: string | null;
  demo: boolean;
}

// What the learner reads

export interface CourseCard {
  id: string;
  title: string;
  description: string;
  lessonCount: number;
  completedLessons: number;
  percent: number;
  assigned: boolean;
  dueAt?: string | null;
  note?: string | null;
}

export interface CourseList {
  items: CourseCard[];
}

export interface LessonRow {
  id: string;
  title: string;
  position: number;
  percent: number;
  completed: boolean;
  hasQuiz: boolean;
}

export interface Course {
  id: string;
  title: string;
  description: string;
  licence: string;
  assigned: boolean;
  dueAt?: string | null;
  note?: string | null;
  lessons: LessonRow[];
}

export interface Question {
  id: string;
  prompt: string;
  choices: { id: string; text: string }[];
  multiple: boolean;
}

export interface GivenAnswer {
  questionId: string;
  choiceIds: string[];
  correct: boolean;
}

export interface Lesson {
  id: string;
  courseId: string;
  title: string;
  position: number;
  /** Sanitised by the server; its figures already point at this portal. */
  html: string;
  quiz: { questions: Question[] } | null;
  progress: { percent: number; completed: boolean; positionS: number };
  answers: GivenAnswer[];
  previousLessonId: string | null;
  nextLessonId: string | null;
}

// Events in

export interface BodyOfKind {
  "lesson.progressed": {
    courseId: string;
    lessonId: string;
    percent: number;
    positionS: number;
    interval: { sessionId: string; fromS: number; toS: number };
  };
  "lesson.completed": { courseId: string; lessonId: string };
  "quiz.answered": { courseId: string; lessonId: string; questionId: string; choiceIds: string[] };
  "analytics.recorded": {
    name: string;
    courseId?: string;
    lessonId?: string;
    data: Record<string, string | number | boolean>;
  };
}

export type Kind = keyof BodyOfKind;

export type ReceiptStatus = "accepted" | "duplicate" | "invalid" | "forbidden" | "conflict" | "later";

export interface Receipt {
  id: string;
  status: ReceiptStatus;
  code?: string | null;
  reason?: string | null;
  position?: string | null;
  durable?: string | null;
  retryAfterS?: number | null;
}

export interface Receipts {
  receipts: Receipt[];
  device?: { acceptedThrough: number; missing: [number, number][] } | null;
  slowDownMs?: number;
}

// Health

export type Status = "ok" | "degraded" | "down" | "unknown";

export interface Degradation {
  name: string;
  lost: string;
  works: string;
  runbook?: string | null;
}

export interface Health {
  status: Status;
  epoch?: string | number;
  seq?: number;
  degradations?: Degradation[] | null;
  demo?: boolean | null;
}
