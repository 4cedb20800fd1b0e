import type { RefObject } from "preact";
import type { Act, Moment } from "../../state/admin-assigning";
import type { Assigning, Refused } from "../../wire/admin";
import { Mark, type Sign } from "../marks";
import { NextTry, SIGNS, stateInWords } from "../ticks";
import { usePortal, useRead } from "../use-portal";
import { atTime, bare, counted } from "../words";
import { NotRead } from "./parts";
import { useAdmin } from "./use-admin";

/** What became of assigning and taking away: this device's own first, then what others did. */
export function Acts({ section }: { section: RefObject<HTMLElement | null> }) {
  const { reads, clock } = usePortal();
  const { assigning, calls, applied } = useAdmin();
  const read = reads.of(`admin assigning ${applied.value}`, calls.recentAssigning);
  const shown = useRead(read);
  const recent = shown.value?.items ?? [];
  const mine = assigning.acts.value;
  const others = recent.filter(
    ({ id }) => !mine.some((act) => act.id === id) && !assigning.seen.value.has(id),
  );
  return (
    <section class="acts" ref={section} tabIndex={-1} aria-labelledby="acts-heading">
      <h2 id="acts-heading">What became of it</h2>
      {mine.length === 0 && shown.value === undefined && (
        <NotRead
          problem={shown.problem}
          what="what was assigned"
          old={false}
          onRetry={() => void read.load()}
        />
      )}
      {mine.length === 0 && shown.value?.items.length === 0 && <p>Nothing was assigned yet.</p>}
      <ul class="rows">
        {mine.map((act) => (
          <li key={act.id}>
            <strong>{titleOf(act)}</strong> <span class="small">{atTime(act.at, clock.now())}</span>
            <Told act={act} />
          </li>
        ))}
        {others.map((act) => (
          <li key={act.id}>
            <strong>
              {act.courseTitle ?? act.courseId}
              {act.kind === "course.unassigned" && ", taken away"}
            </strong>{" "}
            <span class="small">
              {act.byName ?? act.byId}
              {act.at && `, ${atTime(act.at, clock.now())}`}
            </span>
            <OfOthers act={act} />
          </li>
        ))}
      </ul>
    </section>
  );
}

const titleOf = ({ kind, courseTitle, learners }: Act): string =>
  `${courseTitle}, ${kind === "course.assigned" ? "assigned to" : "taken from"} ${counted(learners, "learner", "learners")}`;

function signOf(moment: Moment): Sign {
  switch (moment.name) {
    case "here":
      return SIGNS[moment.state.name];
    case "applied":
    case "sent":
      return "ticks";
    case "asking":
      return "wait";
    case "gone":
    case "parked":
      return "stop";
  }
}

function Told({ act }: { act: Act }) {
  const { outbox } = usePortal();
  const { assigning } = useAdmin();
  const { moment } = act;
  const over = moment.name === "gone" || moment.name === "applied" || moment.name === "parked";
  const refused = moment.name === "here" && moment.state.name === "undeliverable" ? moment.state : undefined;
  return (
    <>
      <p class={`told told-${moment.name}`}>
        <Mark sign={signOf(moment)} /> <span aria-live="polite">{momentInWords(act)}</span>
        {moment.name === "here" && moment.state.name === "kept" && <NextTry now={moment.state.now} />}
      </p>
      {moment.name === "applied" && <RefusedOnes refused={moment.refused} />}
      {refused && (
        <div class="buttons">
          {refused.hint && <span>{refused.hint}</span>}
          <button type="button" class="quiet" onClick={() => void outbox.tryAgain(act.id)}>
            Try it again
          </button>
          <button
            type="button"
            class="quiet"
            onClick={() => {
              void outbox.putAway(act.id);
              assigning.forget(act.id);
            }}
          >
            Put it away
          </button>
        </div>
      )}
      {over && (
        <button type="button" class="quiet" onClick={() => assigning.forget(act.id)}>
          {moment.name === "applied" ? "I have seen this" : "Take it off this list"}
        </button>
      )}
    </>
  );
}

function momentInWords({ kind, moment }: Pick<Act, "kind" | "moment">): string {
  switch (moment.name) {
    case "here":
      return hereInWords(moment.state);
    case "asking":
      return "It is not on this device any more; the server is being asked what became of it…";
    case "sent":
      return "Sent: it is on the server and waits to be applied.";
    case "applied":
      return countsOf(kind, moment.changed, moment.already, moment.refused.length);
    case "parked":
      return `The server has it, but could not apply it and parked it: ${bare(moment.reason)}. Operators see it among the dead letters.`;
    case "gone":
      return "It never reached the server: it was thrown away on this device before it was sent.";
  }
}

function hereInWords(state: Extract<Moment, { name: "here" }>["state"]): string {
  // The words of the learner's pages, and for what waits longer the whole of it.
  return state.name === "kept" ? `Kept ${stateInWords(state)}` : stateInWords(state);
}

function countsOf(kind: string, changed: number, already: number, refused: number): string {
  const did = kind === "course.unassigned" ? "Taken from" : "Assigned to";
  const had = kind === "course.unassigned" ? "did not have it" : "had it already";
  return `${did} ${changed}, ${already} ${had}, ${refused} refused.`;
}

function OfOthers({ act }: { act: Assigning }) {
  const refused = act.refused ?? [];
  return (
    <>
      <p class="told">{countsOf(act.kind ?? "", act.changed ?? 0, act.already ?? 0, refused.length)}</p>
      <RefusedOnes refused={refused} />
    </>
  );
}

/** Whom the server refused, by name where the organisation knows one, each with the reason. */
function RefusedOnes({ refused }: { refused: readonly Refused[] }) {
  if (refused.length === 0) return null;
  return (
    <details>
      <summary>Who was refused, and why</summary>
      <ul>
        {refused.map(({ userId, name, email, reason }) => (
          <li key={userId}>
            {name ?? <code>{userId}</code>}
            {email && <span class="small"> {email}</span>}: {reason}
          </li>
        ))}
      </ul>
    </details>
  );
}
