import { type Standing as Stands, standingOf } from "../state/standing";
import { Mark, type Sign } from "./marks";
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
  const refused = outbox.refusedWork.value.length;
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
  const now = standingOf(usePortal().outbox);
  const { sign, short, long } = inWords(now);
  return (
    // What is read aloud begins with what is seen, for those who speak to their device.
    <a class="standing" href="/waiting" aria-label={`${short}: ${long}`}>
      <Mark sign={sign} />
      <span>{short}</span>
    </a>
  );
}

function inWords(now: Stands): { sign: Sign; short: string; long: string } {
  switch (now.name) {
    case "unsafe":
      return { sign: "warn", short: "Not safe yet", long: "this device can’t keep what you do" };
    case "looking":
      return { sign: "wait", short: "Looking…", long: "what waits on this device is being read" };
    case "waiting": {
      const things = counted(now.count, "thing is", "things are");
      return { sign: "tick", short: `${now.count} waiting`, long: `${things} on this device only` };
    }
    case "refused": {
      const things = counted(now.count, "thing", "things");
      return {
        sign: "stop",
        short: `${now.count} refused`,
        long: `the server will not have ${things} you did`,
      };
    }
    case "lost":
      return { sign: "stop", short: "Some was lost", long: "this device lost some of what you did" };
    case "onServer":
      return { sign: "ticks", short: "All on the server", long: "nothing waits on this device" };
  }
}
