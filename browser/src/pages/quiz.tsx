import { useState } from "preact/hooks";
import { quizAnswered } from "../state/acts";
import { type Entry, isUnsaved, newest } from "../state/entries";
import type { GivenAnswer, Lesson, Question } from "../wire/shapes";
import { SaveState } from "./save-state";
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
  const { sending, session } = usePortal();
  const given = lesson.answers.find((answer) => answer.questionId === question.id);
  const [chosen, setChosen] = useState<readonly string[]>(given?.choiceIds ?? []);
  const [missing, setMissing] = useState(false);
  const entry = newest(
    sending.entries.value,
    session.owner.value,
    "quiz.answered",
    (body) =>
      body.questionId === question.id && body.lessonId === lesson.id && body.courseId === lesson.courseId,
  );
  const underWay = entry !== undefined && isUnsaved(entry);

  function choose(choiceId: string, on: boolean) {
    setMissing(false);
    if (!question.multiple) setChosen([choiceId]);
    else setChosen(on ? [...chosen, choiceId] : chosen.filter((other) => other !== choiceId));
  }

  function answer(event: Event) {
    event.preventDefault();
    setMissing(chosen.length === 0);
    if (chosen.length === 0 || underWay) return;
    // In the order of the question, so that the same choice is the same answer.
    const choiceIds = question.choices.map(({ id }) => id).filter((id) => chosen.includes(id));
    sending.add(quizAnswered(lesson, question, number, choiceIds));
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
        <button type="submit" disabled={underWay}>
          {given || entry ? "Answer again" : "Answer"}
        </button>
        <SaveState entry={entry} />
        <span role="status">{missing ? "Choose an answer first." : resultOf(entry, given)}</span>
      </div>
    </form>
  );
}

/** Whether it is right is the server's to say, so nothing is said before the server has read this very answer. */
function resultOf(entry: Entry | undefined, given: GivenAnswer | undefined): string {
  if (entry === undefined) return given ? `${verdict(given)} Saved on the server.` : "";
  if (entry.state.name !== "saved" || entry.draft.kind !== "quiz.answered") return "";
  const sent = [...entry.draft.body.choiceIds].sort().join();
  const read = given && [...given.choiceIds].sort().join();
  return given && sent === read ? verdict(given) : "The result follows shortly.";
}

const verdict = (given: GivenAnswer): string => (given.correct ? "Correct." : "Not right yet.");
