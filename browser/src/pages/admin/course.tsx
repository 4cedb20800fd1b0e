import { useState } from "preact/hooks";
import type { CourseDetail, CourseRow } from "../../wire/admin";
import { Heading } from "../heading";
import { AsOf, NothingYet } from "../read-state";
import { usePortal, useRead } from "../use-portal";
import { counted } from "../words";
import { HeldBack, NotDone } from "./parts";
import { useAdmin, useChange } from "./use-admin";

export function CoursePage({ courseId }: { courseId: string }) {
  const { reads } = usePortal();
  const { calls } = useAdmin();
  const read = reads.of(`admin course ${courseId}`, () => calls.course(courseId));
  const shown = useRead(read);
  const retry = () => void read.load();
  const found = shown.value;
  if (found === undefined) return <NothingYet shown={shown} what="this course" onRetry={retry} />;
  const { course, lessons } = found;
  const of = encodeURIComponent(course.id);
  return (
    <>
      <p class="way">
        <a href="/admin/courses">Courses</a>
      </p>
      <Heading title={course.title} />
      <p>
        {counted(course.lessonCount, "lesson", "lessons")} · assigned to{" "}
        {counted(course.assignedCount, "learner", "learners")}
        {course.archived && <span class="tag">hidden from learners</span>}
      </p>
      <p class="links">
        <a class="button" href={`/admin/assign?course=${of}`}>
          Assign it
        </a>
        <a href={`/admin/assignments?course=${of}`}>Who has done it</a>
        <a href={`/admin/charts/${of}`}>How it goes</a>
      </p>
      <Change course={course} onChanged={retry} />
      <Lessons lessons={lessons} />
      {course.licence && <p class="small">Licence of the content: {course.licence}</p>}
      <AsOf shown={shown} onRetry={retry} />
    </>
  );
}

function Lessons({ lessons }: { lessons: CourseDetail["lessons"] }) {
  return (
    <section aria-labelledby="lessons-heading">
      <h2 id="lessons-heading">Lessons</h2>
      <ol class="rows">
        {lessons.map((lesson) => (
          <li key={lesson.id}>
            {lesson.title}
            {lesson.questions > 0 && (
              <span class="tag">quiz with {counted(lesson.questions, "question", "questions")}</span>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Change({ course, onChanged }: { course: CourseRow; onChanged: () => void }) {
  const { calls, takeAwayHold } = useAdmin();
  const saving = useChange<CourseRow>();
  const hiding = useChange<CourseRow>();
  const [title, setTitle] = useState(course.title);
  const [description, setDescription] = useState(course.description);
  const same = title === course.title && description === course.description;

  async function save(event: Event) {
    event.preventDefault();
    const done = await saving.send(() =>
      calls.changeCourse(course.id, {
        ...(title !== course.title && { title }),
        ...(description !== course.description && { description }),
      }),
    );
    if (!done) return;
    // What was typed while it was being saved stays typed.
    setTitle((now) => (now === title ? done.title : now));
    setDescription((now) => (now === description ? done.description : now));
    onChanged();
  }

  async function hide() {
    const done = await hiding.send(() => calls.changeCourse(course.id, { archived: !course.archived }));
    if (done) onChanged();
  }

  return (
    <section aria-labelledby="change-heading">
      <h2 id="change-heading">Title and description</h2>
      <form onSubmit={save}>
        <label class="field">
          Title
          <input
            type="text"
            required
            maxLength={200}
            value={title}
            defaultValue={course.title}
            onInput={(event) => setTitle(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          Description
          <textarea
            rows={4}
            maxLength={2000}
            value={description}
            defaultValue={course.description}
            onInput={(event) => setDescription(event.currentTarget.value)}
          />
        </label>
        <NotDone problem={saving.problem} what="the change was saved" />
        <div class="buttons">
          <button type="submit" disabled={saving.busy || same}>
            {saving.busy ? "Saving…" : "Save"}
          </button>
          <span role="status">{saving.done && same && "Saved on the server."}</span>
        </div>
      </form>
      <h2>Who sees it</h2>
      <p>
        {course.archived
          ? "Learners do not see this course. What they did in it is kept."
          : "Learners see this course; those it is assigned to find it at the top."}
      </p>
      <NotDone problem={hiding.problem} what="this was changed" />
      {!course.archived && <HeldBack />}
      <button
        type="button"
        class="quiet"
        disabled={hiding.busy || (!course.archived && takeAwayHold.value !== undefined)}
        onClick={() => void hide()}
      >
        {hiding.busy ? "Saving…" : course.archived ? "Show it to learners" : "Hide it from learners"}
      </button>
    </section>
  );
}
