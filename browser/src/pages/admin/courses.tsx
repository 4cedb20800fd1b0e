import { Heading } from "../heading";
import { AsOf, NothingYet } from "../read-state";
import { usePortal, useRead } from "../use-portal";
import { counted } from "../words";
import { ImportCourse } from "./import-course";
import { useAdmin } from "./use-admin";

export const coursePath = (id: string): string => `/admin/courses/${encodeURIComponent(id)}`;

/** All courses of the organisation, as the server has them. */
export function useCourses() {
  const { reads } = usePortal();
  const { calls } = useAdmin();
  const read = reads.of("admin courses", calls.courses);
  return { read, shown: useRead(read) };
}

export function CoursesPage() {
  const { read, shown } = useCourses();
  const retry = () => void read.load();
  const courses = shown.value?.items;
  if (courses === undefined) return <NothingYet shown={shown} what="the courses" onRetry={retry} />;
  return (
    <>
      <Heading title="Courses" />
      {courses.length === 0 && <p>There is no course yet. Import the first one below.</p>}
      <ul class="rows">
        {courses.map((course) => (
          <li key={course.id}>
            <a href={coursePath(course.id)}>{course.title}</a>
            {course.archived && <span class="tag">hidden from learners</span>}
            <p class="small">
              {counted(course.lessonCount, "lesson", "lessons")} · assigned to{" "}
              {counted(course.assignedCount, "learner", "learners")}
            </p>
          </li>
        ))}
      </ul>
      <ImportCourse courses={courses} onImported={retry} />
      <AsOf shown={shown} onRetry={retry} />
    </>
  );
}
