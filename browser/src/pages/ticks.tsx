/**
 * How far one thing has come: one tick when it is on this device, two when it is on the server. Never a
 * tick before the device's transaction was complete, never two before a receipt named it.
 */
import type { Entry, EntryState, LaneState } from "../state/entries";
import { Mark, type Sign } from "./marks";
import { usePortal } from "./use-portal";
import { atTime, sentence } from "./words";

export const SIGNS: Record<EntryState["name"], Sign> = {
  keeping: "wait",
  unsafe: "warn",
  kept: "tick",
  saved: "ticks",
  undeliverable: "stop",
};

export function stateInWords(state: EntryState): string {
  switch (state.name) {
    case "keeping":
      return "being kept on this device…";
    case "unsafe":
      return "not safe yet: this device can’t keep it. Keep this page open.";
    case "kept":
      return `on this device, ${nextInWords(state.now)}`;
    case "saved":
      return "saved on the server";
    case "undeliverable":
      return `the server will not have this: ${state.reason}`;
  }
}

function nextInWords(now: LaneState): string {
  if (now.name === "held") return `not on the server yet: ${holdInWords(now.why)}`;
  return now.name === "waiting" ? "not on the server yet" : "on its way to the server…";
}

export function holdInWords(why: "signIn" | "anotherPerson" | "forbidden"): string {
  switch (why) {
    case "signIn":
      return "it goes there once you have signed in again";
    case "anotherPerson":
      return "somebody else is signed in, and nothing is sent under their name";
    case "forbidden":
      return "the server does not take this from your account now; it is asked again every minute";
  }
}

/** Says nothing before there is an event. `bare`: the sign stands elsewhere. */
export function Ticks({ entry, bare: words = false }: { entry: Entry | undefined; bare?: boolean }) {
  const state = entry?.state;
  return (
    <span class={`ticks ticks-${state?.name ?? "none"}`}>
      {state && !words && <Mark sign={SIGNS[state.name]} />}
      {/* Always in the page, so that a change is announced; the time beside it never is. */}
      <span aria-live="polite">{state && stateInWords(state)}</span>
      {state?.name === "kept" && <NextTry now={state.now} />}
    </span>
  );
}

/** Why there must be another try and when it is; nothing while nothing is put off. `brief`: only when. */
export function NextTry({ now, brief = false }: { now: LaneState; brief?: boolean }) {
  const { clock } = usePortal();
  if (now.name !== "waiting") return null;
  const at = atTime(new Date(now.nextTryAtMs).toISOString(), clock.now());
  return (
    <span class="small next-try">
      {" "}
      {!brief && `${sentence(now.why)} `}Next try {at}.
    </span>
  );
}

/** The sign alone, with its word for those who listen. */
export function Tick({ entry }: { entry: Entry }) {
  const { state } = entry;
  return (
    <>
      <Mark sign={SIGNS[state.name]} />
      <span class="unseen">{SHORT[state.name]}</span>
    </>
  );
}

const SHORT: Record<EntryState["name"], string> = {
  keeping: "being kept on this device",
  unsafe: "not safe yet",
  kept: "on this device",
  saved: "on the server",
  undeliverable: "the server will not have it",
};
