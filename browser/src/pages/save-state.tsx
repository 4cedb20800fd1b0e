import { useEffect, useState } from "preact/hooks";
import type { Entry, EntryState } from "../state/entries";
import { Mark } from "./marks";
import { usePortal } from "./use-portal";
import { inTime } from "./words";

const SIGNS = { sending: "wait", waiting: "wait", held: "wait", saved: "tick", refused: "stop" } as const;

function inWords(state: EntryState): string {
  switch (state.name) {
    case "sending":
      return "sending…";
    case "saved":
      return "saved on the server";
    case "refused":
      return `the server refused this: ${state.reason}`;
    case "held":
      return state.why === "signIn"
        ? "not saved yet: keep this page open and sign in again"
        : "not saved yet: waiting for the person who did it";
    case "waiting":
      return "not saved yet: keep this page open";
  }
}

/** How far one event has come, in words. Says nothing before there is an event. */
export function SaveState({ entry }: { entry: Entry | undefined }) {
  const state = entry?.state;
  return (
    <span class={`save-state save-${state?.name ?? "none"}`}>
      {state && <Mark sign={SIGNS[state.name]} />}
      {/* Always in the page, so that a change is announced; the countdown beside it never is. */}
      <span aria-live="polite">{state && inWords(state)}</span>
      {state?.name === "waiting" && (
        <span class="countdown">
          {", next try in "}
          <Countdown dueAtMs={state.dueAtMs} /> <span class="why">({state.why.replace(/\.$/, "")})</span>
        </span>
      )}
    </span>
  );
}

export function Countdown({ dueAtMs }: { dueAtMs: number }) {
  const { clock } = usePortal();
  const [, setTicks] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTicks((ticks) => ticks + 1), 1_000);
    return () => clearInterval(timer);
  }, []);
  return <span>{inTime(dueAtMs - clock.elapsed())}</span>;
}
