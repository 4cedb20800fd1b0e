/** The acts of a learner, each as the event it declares and as a person would call it. */
import type { Lesson, Question } from "../wire/shapes";
import type { Draft } from "./entries";
import type { Progress } from "./reading";

type Place = Pick<Lesson, "id" | "courseId" | "title">;

export const lessonCompleted = (lesson: Place): Draft => ({
  kind: "lesson.completed",
  body: { courseId: lesson.courseId, lessonId: lesson.id },
  says: `“${lesson.title}” marked as complete`,
});

export const lessonProgressed = (lesson: Place, progress: Progress): Draft => ({
  kind: "lesson.progressed",
  body: { courseId: lesson.courseId, lessonId: lesson.id, ...progress },
  says: `“${lesson.title}” read to ${progress.percent} %`,
});

export const quizAnswered = (
  lesson: Place,
  question: Question,
  number: number,
  choiceIds: string[],
): Draft => ({
  kind: "quiz.answered",
  body: { courseId: lesson.courseId, lessonId: lesson.id, questionId: question.id, choiceIds },
  says: `Answer to question ${number} of “${lesson.title}”`,
});

export const lessonOpened = (lesson: Place): Draft => ({
  kind: "analytics.recorded",
  body: { name: "lesson.opened", courseId: lesson.courseId, lessonId: lesson.id, data: {} },
  says: `“${lesson.title}” opened`,
});
