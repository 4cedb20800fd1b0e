/**
 * The shapes on the wire, under the names this page uses. All are the server's own: `schema.d.ts` is
 * generated from its OpenAPI (`npm run types`), and a test on the server's side holds it to that.
 */

import type { components } from "./schema";

type Schemas = components["schemas"];

// Who asks

export type Principal = Schemas["PrincipalSaid"];
export type Session = Schemas["SessionSaid"];

// What the learner reads

export type CourseCard = Schemas["CourseCard"];
export type CourseList = Schemas["CourseList"];
export type LessonRow = Schemas["LessonRow"];
export type Course = Schemas["CoursePage"];
export type Question = Schemas["AskedQuestion"];
export type GivenAnswer = Schemas["Answered"];
export type Lesson = Schemas["LessonPage"];

// Events in

/** Each kind of event that a learner's page declares, with its body. */
export interface BodyOfKind {
  "lesson.progressed": Schemas["LessonProgressed"];
  "lesson.completed": Schemas["LessonCompleted"];
  "quiz.answered": Schemas["QuizAnswered"];
  "analytics.recorded": Schemas["AnalyticsRecorded"];
}

export type Kind = keyof BodyOfKind;
export type Receipt = Schemas["Receipt"];
export type ReceiptStatus = Receipt["status"];
/** What this page reads of the answer to a batch; the outbox will read `device` too. */
export type Receipts = Pick<Schemas["Receipts"], "receipts" | "slowDownMs">;

// Health

export type Health = Schemas["Health"];
export type Status = Health["status"];
export type Degradation = Schemas["Degradation"];
