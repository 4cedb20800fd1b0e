import { type Entry, isOpen, newest } from "../state/entries";
import type { Course, LessonRow } from "../wire/shapes";
import { Heading } from "./heading";
import { KeepOffline } from "./keep-offline";
import { Mark } from "./marks";
import { AsOf, NothingYet } from "./read-state";
import { SIGNS, Ticks } from "./ticks";
import { usePortal, useRead } from "./use-portal";
import { onDay } from "./words";

export const lessonPath = (courseId: string, lessonId: string): string =>
  `/courses/${encodeURIComponent(courseId)}/lessons/${encodeURIComponent(lessonId)}`;

/** The completion of a lesson that was declared here and that this page still knows of. */
export function completionOf(
  entries: readonly Entry[],
  courseId: string,
  lessonId: string,
): Entry | undefined {
  return newest(
    entries,
    "lesson.completed",
    (body) => body.lessonId === lessonId && body.courseId === courseId,
  );
}

export function CoursePage({ courseId = "" }: { courseId?: string }) {
  const portal = usePortal();
  const { reads, outbox } = portal;
  const read = reads.course(courseId);
  const shown = useRead(read);
  const retry = () => void read.load();
  const course = shown.value;
  if (course === undefined) return <NothingYet shown={shown} what="this course" onRetry={retry} />;

  const complete = course.lessons.filter((lesson) => lesson.completed).length;
  const lessons = course.lessons.toSorted((one, other) => one.position - other.position);
  const done = (lesson: LessonRow): Entry | undefined =>
    lesson.completed ? undefined : completionOf(outbox.entries.value, course.id, lesson.id);
  const here = lessons.filter((lesson) => {
    const entry = done(lesson);
    return entry && isOpen(entry);
  }).length;
  const next = lessons.find((lesson) => !lesson.completed && done(lesson) === undefined);
  return (
    <>
      <p class="way">
        <a href="/">Your courses</a>
      </p>
      <Heading title={course.title} />
      <p class="lead">{course.description}</p>
      {course.note && <p class="note">{course.note}</p>}
      {next && <Next course={course} lesson={next} begun={next !== lessons[0] || next.percent > 0} />}
      <h2>Lessons</h2>
      <p class="small">
        {complete} of {lessons.length} complete
        {here > 0 && `, ${here} more on this device and not on the server yet`}
        {course.dueAt && <> · due {onDay(course.dueAt)}</>}
      </p>
      <ol class="lessons">
        {lessons.map((lesson) => (
          <LessonItem key={lesson.id} courseId={course.id} lesson={lesson} entry={done(lesson)} />
        ))}
      </ol>
      <KeepOffline course={course} portal={portal} />
      {course.licence && <p class="small">Licence of the content: {course.licence}</p>}
      <AsOf shown={shown} onRetry={retry} />
    </>
  );
}

function Next({ course, lesson, begun }: { course: Course; lesson: LessonRow; begun: boolean }) {
  return (
    <p>
      <a class="button" href={lessonPath(course.id, lesson.id)}>
        {begun ? "Go on with" : "Start with"} “{lesson.title}”
      </a>
    </p>
  );
}

/** `entry`: what was done here and the server does not count yet stands beside the server's figures. */
function LessonItem(props: { courseId: string; lesson: LessonRow; entry: Entry | undefined }) {
  const { courseId, lesson, entry } = props;
  const begun = lesson.percent > 0 ? "some" : "none";
  return (
    <li class="lesson-row">
      <Mark sign={lesson.completed ? "ticks" : entry ? SIGNS[entry.state.name] : begun} />
      <div>
        <a href={lessonPath(courseId, lesson.id)}>{lesson.title}</a>
        {lesson.hasQuiz && <span class="tag">quiz</span>}
        <p class="small">
          {lesson.completed ? (
            "complete, saved on the server"
          ) : entry ? (
            <>
              complete: <Ticks entry={entry} bare />
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
