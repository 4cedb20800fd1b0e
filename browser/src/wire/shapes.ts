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

/** Each kind of event that a page declares, with its body. */
export interface BodyOfKind {
  "lesson.progressed": Schemas["LessonProgressed"];
  "lesson.completed": Schemas["LessonCompleted"];
  "quiz.answered": Schemas["QuizAnswered"];
  "analytics.recorded": Schemas["AnalyticsRecorded"];
  "course.assigned": Schemas["CourseAssigned"];
  "course.unassigned": Schemas["CourseUnassigned"];
}

export type Kind = keyof BodyOfKind;
export type Receipt = Schemas["Receipt"];
export type DeviceState = Schemas["DeviceState"];
/** What this page reads of the answer to a batch. `device` is absent where the server can't tell now. */
export type Receipts = Pick<Schemas["Receipts"], "receipts" | "slowDownMs"> & { device?: DeviceState };
export type Held = Schemas["Held"];
export type LossTaken = Schemas["LossTaken"];
/** The receipt of an assignment or its undoing, with what it did where that is done. */
export type Assigned = Pick<Schemas["Assigned"], "receipt"> &
  Partial<Omit<Schemas["Assigned"] & Schemas["Unassigned"], "receipt">>;

// Health

export type Health = Schemas["Health"];
export type Status = Health["status"];
export type Degradation = Schemas["Degradation"];
