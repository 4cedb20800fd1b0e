import { type Entry, isUnsaved, isWork, tallyOf } from "../state/entries";
import { sameOwner } from "../state/session";
import { Mark } from "./marks";
import { Countdown } from "./save-state";
import { usePortal } from "./use-portal";
import { counted } from "./words";

const things = (count: number) => counted(count, "thing you did is", "things you did are");

/**
 * The line at the foot of every page: what of a learner's work the server does not have yet.
 * While events live in this page only, it says so, because closing the page would lose them.
 */
export function SaveLine({ onSignIn }: { onSignIn?: () => void }) {
  const { sending, session } = usePortal();
  const entries = sending.entries.value;
  const { held } = tallyOf(entries);
  // What another person did is nobody else's to read; only that something of it waits is said.
  const mine = entries.filter(({ owner }) => sameOwner(owner, session.owner.value));
  const tally = tallyOf(mine);
  const work = mine.filter(isWork);
  const unsaved = held.length > 0 || work.some(isUnsaved);
  const open = unsaved || tally.refused.length > 0;
  return (
    <>
      {/* Here from the start, so that its filling is announced. What is on its way needs no announcement. */}
      <p class="unseen" role="status">
        {inShort(tally.waiting.length + held.length, tally.refused.length)}
      </p>
      {(open || work.length > 0) && (
        <section class={`save-line ${open ? "save-line-open" : ""}`} aria-label="Saving">
          <Waiting waiting={tally.waiting} nextTryMs={tally.nextTryMs} onTry={sending.tryNow} />
          <Held held={held} {...(onSignIn && { onSignIn })} />
          {tally.sending.length > 0 && (
            <p>
              <Mark sign="wait" /> Sending {counted(tally.sending.length, "thing", "things")} you did…
            </p>
          )}
          <Refused refused={tally.refused} onPutAway={sending.putAway} />
          {work.length > 0 && !work.some(isUnsaved) && tally.refused.length === 0 && (
            <p>
              <Mark sign="tick" /> What you did on this page is saved on the server.
            </p>
          )}
        </section>
      )}
    </>
  );
}

function inShort(unsaved: number, refused: number): string {
  if (unsaved > 0) return `${things(unsaved)} not saved yet. Keep this page open.`;
  return refused > 0 ? `The server refused ${counted(refused, "thing", "things")} you did.` : "";
}

function Waiting(props: { waiting: Entry[]; nextTryMs: number | undefined; onTry: () => void }) {
  const { waiting, nextTryMs, onTry } = props;
  if (waiting.length === 0 || nextTryMs === undefined) return null;
  const mayTry = waiting.some(({ state }) => state.name === "waiting" && !state.asked);
  return (
    <div>
      <p>
        <Mark sign="wait" /> <strong>{things(waiting.length)} not saved yet. Keep this page open:</strong>{" "}
        only this page has {waiting.length === 1 ? "it" : "them"}, and closing it loses{" "}
        {waiting.length === 1 ? "it" : "them"}. Next try in <Countdown dueAtMs={nextTryMs} />.{" "}
        {mayTry && (
          <button type="button" class="quiet" onClick={onTry}>
            Try now
          </button>
        )}
      </p>
      <details>
        <summary>What is not saved yet</summary>
        <ul>
          {waiting.map((entry) => (
            <li key={entry.id}>
              {entry.draft.says}
              {entry.state.name === "waiting" && `: ${entry.state.why}`}
            </li>
          ))}
        </ul>
      </details>
    </div>
  );
}

function Held({ held, onSignIn }: { held: Entry[]; onSignIn?: () => void }) {
  const mine = held.filter(({ state }) => state.name === "held" && state.why === "signIn");
  const others = held.length - mine.length;
  return (
    <>
      {mine.length > 0 && (
        <p>
          <Mark sign="wait" />{" "}
          <strong>
            {counted(mine.length, "thing is", "things are")} not saved yet, and no one is signed in.
          </strong>{" "}
          Keep this page open and sign in again as the same person: then it goes to the server.{" "}
          {onSignIn && (
            <button type="button" class="quiet" onClick={onSignIn}>
              Sign in again
            </button>
          )}
        </p>
      )}
      {others > 0 && (
        <p>
          <Mark sign="wait" /> {counted(others, "thing", "things")} of the person who was signed in here
          before {others === 1 ? "is" : "are"} not saved yet. Nothing of it is sent under your name. It waits
          in this page until that person signs in here again; closing the page loses it.
        </p>
      )}
    </>
  );
}

function Refused({ refused, onPutAway }: { refused: Entry[]; onPutAway: (id: string) => void }) {
  if (refused.length === 0) return null;
  return (
    <div>
      <p>
        <Mark sign="stop" /> <strong>The server refused {counted(refused.length, "thing", "things")}.</strong>{" "}
        It is not saved, and trying again would not help.
      </p>
      <ul>
        {refused.map(({ id, draft, state }) => (
          <li key={id}>
            {draft.says}: {state.name === "refused" && state.reason}{" "}
            <button type="button" class="quiet" onClick={() => onPutAway(id)}>
              I have read this
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
