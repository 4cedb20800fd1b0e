import { useEffect, useRef } from "preact/hooks";
import { lessonCompleted } from "../state/acts";
import { newest } from "../state/entries";
import type { Lesson } from "../wire/shapes";
import { completionOf, lessonPath } from "./course";
import { Heading } from "./heading";
import { Mark } from "./marks";
import { Quiz } from "./quiz";
import { AsOf, NothingYet } from "./read-state";
import { NextTry, SIGNS, stateInWords, Tick } from "./ticks";
import { usePortal, useRead } from "./use-portal";
import { useReading } from "./use-reading";

export function LessonPage({ courseId = "", lessonId = "" }: { courseId?: string; lessonId?: string }) {
  const { reads } = usePortal();
  const read = reads.lesson(courseId, lessonId);
  const shown = useRead(read);
  const retry = () => void read.load();
  if (shown.value === undefined) return <NothingYet shown={shown} what="this lesson" onRetry={retry} />;
  return (
    <>
      <LessonView key={`${courseId} ${lessonId}`} lesson={shown.value} />
      <AsOf shown={shown} onRetry={retry} />
    </>
  );
}

function LessonView({ lesson }: { lesson: Lesson }) {
  const article = useRef<HTMLElement>(null);
  useReading(lesson, article);
  useEffect(() => {
    // Where a browser does not let the keyboard scroll a wide listing by itself, the focus must reach it.
    for (const wide of article.current?.querySelectorAll<HTMLElement>("pre, table") ?? []) {
      if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
    }
  }, [lesson.html]);
  return (
    <>
      <p class="way">
        <a href={`/courses/${encodeURIComponent(lesson.courseId)}`}>All lessons of this course</a>
      </p>
      <Heading title={lesson.title} />
      <ReadSoFar lesson={lesson} article={article} />
      {/* The server sanitises a lesson before it stores it; nothing else is ever put in as HTML. */}
      <article ref={article} class="lesson" dangerouslySetInnerHTML={{ __html: lesson.html }} />
      {lesson.quiz && lesson.quiz.questions.length > 0 && (
        <Quiz lesson={lesson} questions={lesson.quiz.questions} />
      )}
      <Complete lesson={lesson} />
      <nav class="neighbours" aria-label="Neighbouring lessons">
        {lesson.previousLessonId && (
          <a href={lessonPath(lesson.courseId, lesson.previousLessonId)} rel="prev">
            Previous lesson
          </a>
        )}
        {lesson.nextLessonId && (
          <a href={lessonPath(lesson.courseId, lesson.nextLessonId)} rel="next">
            Next lesson
          </a>
        )}
      </nav>
    </>
  );
}

function ReadSoFar({ lesson, article }: { lesson: Lesson; article: { current: HTMLElement | null } }) {
  const { outbox } = usePortal();
  const percent = Math.floor(lesson.progress.percent);
  const entry = newest(
    outbox.entries.value,
    "lesson.progressed",
    (body) => body.lessonId === lesson.id && body.courseId === lesson.courseId,
  );
  const here = Math.floor(entry?.body.percent ?? 0);
  const reached = Math.max(percent, here);

  function goOn() {
    const box = article.current?.getBoundingClientRect();
    if (!box) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const top = scrollY + box.top + (box.height * reached) / 100 - innerHeight / 2;
    scrollTo({ top, behavior: calm ? "auto" : "smooth" });
  }

  return (
    <p class="small read-so-far">
      <span>
        {reached} % read {entry && here >= percent ? <Tick entry={entry} /> : percent > 0 && <OnServer />}
      </span>
      {reached > 0 && reached < 100 && (
        <button type="button" class="quiet" onClick={goOn}>
          Go to where you were
        </button>
      )}
    </p>
  );
}

function OnServer() {
  return (
    <>
      <Mark sign="ticks" />
      <span class="unseen">on the server</span>
    </>
  );
}

function Complete({ lesson }: { lesson: Lesson }) {
  const { outbox } = usePortal();
  const entry = completionOf(outbox.entries.value, lesson.courseId, lesson.id);
  const state = lesson.progress.completed ? ({ name: "saved" } as const) : entry?.state;
  const kept = state?.name === "kept" || state?.name === "saved";
  return (
    <section class={`complete complete-${state?.name ?? "none"}`} aria-label="Completing this lesson">
      <p>
        {state && state.name !== "undeliverable" ? (
          <Mark sign={SIGNS[state.name]} />
        ) : (
          <button type="button" onClick={() => outbox.add(lessonCompleted(lesson))}>
            Mark as complete
          </button>
        )}
        {/* Here from the start, so that its filling is announced. */}
        <span key="words" aria-live="polite">
          {state && (
            <>
              {kept && <strong>Lesson complete</strong>}
              {kept && ", "}
              {stateInWords(state)}
              {kept && "."}
              {state.name === "saved" &&
                !lesson.progress.completed &&
                " It is not in the course’s figures yet."}
            </>
          )}
        </span>
        {state?.name === "kept" && <NextTry now={state.now} />}
      </p>
    </section>
  );
}
