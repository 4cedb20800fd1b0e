import { isOpen } from "../state/entries";
import type { CourseCard } from "../wire/shapes";
import { Heading } from "./heading";
import { Mark } from "./marks";
import { AsOf, NothingYet } from "./read-state";
import { usePortal, useRead } from "./use-portal";
import { onDay } from "./words";

export function CoursesPage() {
  const { reads } = usePortal();
  const read = reads.courses();
  const shown = useRead(read);
  const retry = () => void read.load();
  if (shown.value === undefined) return <NothingYet shown={shown} what="your courses" onRetry={retry} />;

  const assigned = shown.value.items.filter((course) => course.assigned);
  const open = shown.value.items.filter((course) => !course.assigned);
  return (
    <>
      <Heading title="Your courses" />
      <h2>Assigned to you</h2>
      {assigned.length === 0 && <p>No course is assigned to you yet.</p>}
      <Cards courses={assigned} />
      {open.length > 0 && (
        <>
          <h2>Also open to you</h2>
          <Cards courses={open} />
        </>
      )}
      <AsOf shown={shown} onRetry={retry} />
    </>
  );
}

function Cards({ courses }: { courses: CourseCard[] }) {
  if (courses.length === 0) return null;
  return (
    <ul class="cards">
      {courses.map((course) => (
        <Card key={course.id} course={course} />
      ))}
    </ul>
  );
}

function Card({ course }: { course: CourseCard }) {
  const { outbox, clock } = usePortal();
  const here = completionsHere(outbox.entries.value.filter(isOpen), course.id);
  const overdue =
    course.dueAt !== null &&
    course.completedLessons + here < course.lessonCount &&
    new Date(course.dueAt).getTime() < clock.now();
  return (
    <li class="card">
      <h3>
        <a href={`/courses/${encodeURIComponent(course.id)}`}>{course.title}</a>
      </h3>
      <p class="card-description">{course.description}</p>
      {course.note && <p class="note">{course.note}</p>}
      <div class="card-foot">
        <progress max={100} value={course.percent} aria-label={`Progress in ${course.title}`} />
        <p class="small">
          {course.completedLessons} of {course.lessonCount} lessons complete · {Math.floor(course.percent)} %
        </p>
        {here > 0 && (
          <p class="small">
            <Mark sign="tick" /> {here} more on this device, not on the server yet
          </p>
        )}
        {course.dueAt && (
          <p class={`small ${overdue ? "late" : ""}`}>
            {overdue ? "Was due" : "Due"} {onDay(course.dueAt)}
          </p>
        )}
      </div>
    </li>
  );
}

/** Lessons of a course completed here that the server has no word of. */
function completionsHere(open: readonly { kind: string; body: unknown }[], courseId: string): number {
  const lessons = open.flatMap(({ kind, body }) => {
    const { courseId: of, lessonId } = (body ?? {}) as { courseId?: string; lessonId?: string };
    return kind === "lesson.completed" && of === courseId && lessonId ? [lessonId] : [];
  });
  return new Set(lessons).size;
}
