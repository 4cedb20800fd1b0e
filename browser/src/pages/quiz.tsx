import { useEffect, useState } from "preact/hooks";
import { quizAnswered } from "../state/acts";
import { type Entry, newest } from "../state/entries";
import { markOf } from "../state/session";
import type { BodyOfKind, GivenAnswer, Lesson, Question } from "../wire/shapes";
import { Ticks } from "./ticks";
import { usePortal } from "./use-portal";

export function Quiz({ lesson, questions }: { lesson: Lesson; questions: Question[] }) {
  return (
    <section class="quiz" aria-labelledby="quiz-title">
      <h2 id="quiz-title">Quiz</h2>
      {questions.map((question, index) => (
        <QuestionForm key={question.id} lesson={lesson} question={question} number={index + 1} />
      ))}
    </section>
  );
}

function QuestionForm({ lesson, question, number }: { lesson: Lesson; question: Question; number: number }) {
  const { outbox, halfTyped, session } = usePortal();
  const given = lesson.answers.find((answer) => answer.questionId === question.id);
  const entry = newest(
    outbox.entries.value,
    "quiz.answered",
    (body) =>
      body.questionId === question.id && body.lessonId === lesson.id && body.courseId === lesson.courseId,
  );
  const owner = session.owner.value;
  const mine = owner ? markOf(owner) : "";
  const place = `${lesson.courseId} ${lesson.id} ${question.id}`;
  /** What was begun and not given; undefined as long as nothing was touched since the last answer. */
  const [begun, setBegun] = useState<readonly string[] | undefined>(() => halfTyped.get(mine, place));
  const [missing, setMissing] = useState(false);
  // Only when the device has the answer may the half-typed one go.
  const kept = entry?.state.name === "kept" || entry?.state.name === "saved";
  useEffect(() => {
    if (kept && begun === undefined) halfTyped.set(mine, place, undefined);
  }, [kept, begun]);
  const chosen = begun ?? entry?.body.choiceIds ?? given?.choiceIds ?? [];

  function hold(choiceIds: readonly string[] | undefined) {
    setBegun(choiceIds);
    halfTyped.set(mine, place, choiceIds);
  }

  function choose(choiceId: string, on: boolean) {
    setMissing(false);
    if (!question.multiple) hold([choiceId]);
    else hold(on ? [...chosen, choiceId] : chosen.filter((other) => other !== choiceId));
  }

  function answer(event: Event) {
    event.preventDefault();
    setMissing(chosen.length === 0);
    // The same answer a second time, such as a double press, says nothing new.
    if (chosen.length === 0 || (entry && begun === undefined && entry.state.name !== "undeliverable")) return;
    // In the order of the question, so that the same choice is the same answer.
    const choiceIds = question.choices.map(({ id }) => id).filter((id) => chosen.includes(id));
    outbox.add(quizAnswered(lesson, question, number, choiceIds));
    setBegun(undefined);
  }

  return (
    <form class="question" onSubmit={answer}>
      <fieldset>
        <legend>
          {number}. {question.prompt}
          {question.multiple && <span class="small"> Choose all that apply.</span>}
        </legend>
        {question.choices.map((choice) => (
          <label key={choice.id} class="choice">
            <input
              type={question.multiple ? "checkbox" : "radio"}
              name={`answer-${question.id}`}
              checked={chosen.includes(choice.id)}
              onChange={(event) => choose(choice.id, event.currentTarget.checked)}
            />
            <span>{choice.text}</span>
          </label>
        ))}
      </fieldset>
      <div class="question-foot">
        <button type="submit">{given || entry ? "Answer again" : "Answer"}</button>
        <Ticks entry={entry} />
        <span role="status">
          {missing ? "Choose an answer first." : begun ? "Not given yet." : resultOf(entry, given)}
        </span>
      </div>
    </form>
  );
}

/** Whether it is right is the server's to say, so nothing is said before the server has read this very answer. */
function resultOf(entry: Answered | undefined, given: GivenAnswer | undefined): string {
  if (entry === undefined) return given ? `${verdict(given)} Saved on the server.` : "";
  if (entry.state.name !== "saved") return "";
  const sent = [...entry.body.choiceIds].sort().join();
  const read = given && [...given.choiceIds].sort().join();
  return given && sent === read ? verdict(given) : "The result follows shortly.";
}

type Answered = Entry & { readonly body: BodyOfKind["quiz.answered"] };

const verdict = (given: GivenAnswer): string => (given.correct ? "Correct." : "Not right yet.");
