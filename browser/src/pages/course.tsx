import { newest } from "../state/entries";
import type { Course, LessonRow } from "../wire/shapes";
import { Heading } from "./heading";
import { Mark } from "./marks";
import { AsOf, NothingYet } from "./read-state";
import { SaveState } from "./save-state";
import { usePortal, useRead } from "./use-portal";
import { onDay } from "./words";

export const lessonPath = (courseId: string, lessonId: string): string =>
  `/courses/${encodeURIComponent(courseId)}/lessons/${encodeURIComponent(lessonId)}`;

export function CoursePage({ courseId = "" }: { courseId?: string }) {
  const { reads } = usePortal();
  const read = reads.course(courseId);
  const shown = useRead(read);
  const retry = () => void read.load();
  const course = shown.value;
  if (course === undefined) return <NothingYet shown={shown} what="this course" onRetry={retry} />;

  const complete = course.lessons.filter((lesson) => lesson.completed).length;
  const lessons = course.lessons.toSorted((one, other) => one.position - other.position);
  return (
    <>
      <p class="way">
        <a href="/">Your courses</a>
      </p>
      <Heading title={course.title} />
      <p class="lead">{course.description}</p>
      {course.note && <p class="note">{course.note}</p>}
      <Next course={course} lessons={lessons} />
      <h2>Lessons</h2>
      <p class="small">
        {complete} of {lessons.length} complete
        {course.dueAt && <> · due {onDay(course.dueAt)}</>}
      </p>
      <ol class="lessons">
        {lessons.map((lesson) => (
          <LessonItem key={lesson.id} courseId={course.id} lesson={lesson} />
        ))}
      </ol>
      {course.licence && <p class="small">Licence of the content: {course.licence}</p>}
      <AsOf shown={shown} onRetry={retry} />
    </>
  );
}

function Next({ course, lessons }: { course: Course; lessons: LessonRow[] }) {
  const next = lessons.find((lesson) => !lesson.completed);
  if (next === undefined) return null;
  const begun = lessons.some((lesson) => lesson.completed || lesson.percent > 0);
  return (
    <p>
      <a class="button" href={lessonPath(course.id, next.id)}>
        {begun ? "Go on with" : "Start with"} “{next.title}”
      </a>
    </p>
  );
}

function LessonItem({ courseId, lesson }: { courseId: string; lesson: LessonRow }) {
  const { sending, session } = usePortal();
  // What was done on this page and the server does not count yet stands beside the server's figures.
  const entry = newest(
    sending.entries.value,
    session.owner.value,
    "lesson.completed",
    (body) => body.lessonId === lesson.id && body.courseId === courseId,
  );
  const saved = lesson.completed || entry?.state.name === "saved";
  return (
    <li class="lesson-row">
      <Mark sign={saved ? "tick" : lesson.percent > 0 ? "some" : "none"} />
      <div>
        <a href={lessonPath(courseId, lesson.id)}>{lesson.title}</a>
        {lesson.hasQuiz && <span class="tag">quiz</span>}
        <p class="small">
          {lesson.completed ? (
            "complete, saved on the server"
          ) : entry ? (
            <>
              complete: <SaveState entry={entry} />
            </>
          ) : lesson.percent > 0 ? (
            `${Math.floor(lesson.percent)} % read`
          ) : (
            "not started"
          )}
        </p>
      </div>
    </li>
  );
}
