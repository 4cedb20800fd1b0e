import { isWork } from "../state/entries";
import { Mark } from "./marks";
import { isOverdue, WARN_AFTER_WORDS } from "./overdue";
import { useNow, usePortal } from "./use-portal";
import { counted } from "./words";

/**
 * The line at the foot of every page: only what a person should know or do about what is not on the
 * server. Silence here means that nothing has to be done.
 */
export function SaveLine({ onSignIn }: { onSignIn?: () => void }) {
  const { outbox } = usePortal();
  const now = useNow();
  const others = outbox.atRiskOfOthers.value;
  const risky = outbox.atRisk.value - others;
  const unsafe = risky > 0 && outbox.entries.value.some(({ state }) => state.name === "unsafe");
  const work = outbox.openWork.value;
  const overdue = work.filter(({ createdAt }) => isOverdue(createdAt, now)).length;
  const held = work.filter(({ state }) => state.name === "kept" && state.now.name === "held").length;
  const refused = outbox.undeliverable.value.filter(({ entry }) => isWork(entry)).length;
  const losses = outbox.losses.value.length;
  const open = unsafe || others > 0 || overdue > 0 || refused > 0 || losses > 0 || (held > 0 && onSignIn);
  return (
    // Here from the start, so that its filling is announced.
    <section
      class={`save-line ${open ? "save-line-open" : ""}`}
      aria-label="What needs you"
      aria-live="polite"
    >
      {unsafe && (
        <p>
          <Mark sign="warn" /> <strong>Not safe yet: {counted(risky, "thing", "things")} you did.</strong>{" "}
          This device can’t keep {risky === 1 ? "it" : "them"}; keep this page open until{" "}
          {risky === 1 ? "it has" : "they have"} reached the server.
        </p>
      )}
      {others > 0 && (
        <p>
          <Mark sign="warn" /> {counted(others, "thing", "things")} of the person who was here before{" "}
          {others === 1 ? "is" : "are"} not safe yet. Nothing of it is sent under your name; closing this page
          loses it.
        </p>
      )}
      {held > 0 && onSignIn && (
        <p>
          <Mark sign="tick" /> {counted(held, "thing waits", "things wait")} on this device until you sign in
          again.{" "}
          <button type="button" class="quiet" onClick={onSignIn}>
            Sign in again
          </button>
        </p>
      )}
      {overdue > 0 && (
        <p>
          <Mark sign="warn" /> {counted(overdue, "thing has", "things have")} waited on this device for more
          than {WARN_AFTER_WORDS}. <a href="/waiting">See why</a>
        </p>
      )}
      {refused > 0 && (
        <p>
          <Mark sign="stop" /> The server will not have {counted(refused, "thing", "things")} you did.{" "}
          <a href="/waiting">See why, and what you can do</a>
        </p>
      )}
      {losses > 0 && (
        <p>
          <Mark sign="stop" /> This device lost some of what you did. <a href="/waiting">See what</a>
        </p>
      )}
    </section>
  );
}

/** In the header of every page, always there: where everything stands, in one glance. */
export function Standing() {
  const { outbox } = usePortal();
  const work = outbox.openWork.value;
  const unsafe =
    outbox.status.value.storage === "unsafe" || work.some(({ state }) => state.name === "unsafe");
  const count = work.length;
  const short = unsafe ? "Not safe yet" : count > 0 ? `${count} waiting` : "All on the server";
  return (
    // What is read aloud begins with what is seen, for those who speak to their device.
    <a class="standing" href="/waiting" aria-label={`${short}: ${inWords(count, unsafe)}`}>
      <Mark sign={unsafe ? "warn" : count > 0 ? "tick" : "ticks"} />
      <span>{short}</span>
    </a>
  );
}

function inWords(count: number, unsafe: boolean): string {
  if (unsafe) return "this device can’t keep what you do";
  return count > 0
    ? `${counted(count, "thing is", "things are")} on this device only`
    : "nothing waits on this device";
}
