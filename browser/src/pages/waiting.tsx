/** Everything that is not on the server yet, each in plain words: since when, why, and what comes next. */

import type { Lane, LaneState } from "../state/entries";
import { type Entry, isOpen, isWork } from "../state/entries";
import { exportName, exportText } from "../state/export";
import { Heading } from "./heading";
import { Mark } from "./marks";
import { isOverdue, WARN_AFTER_WORDS } from "./overdue";
import { Losses, Refusals } from "./refusals";
import { holdInWords, NextTry, SIGNS, stateInWords } from "./ticks";
import { useNow, usePortal } from "./use-portal";
import { ago, atTime, bare, counted, sentence } from "./words";

/** More rows than anybody reads would only make an old device slow. */
const SHOWN = 200;

const LANE_WORDS: Record<Lane, string> = {
  progressQueue: "Your learning",
  adminQueue: "Your assignments of courses",
  analyticsQueue: "Figures about use",
};

export function WaitingPage() {
  const { outbox, session, clock } = usePortal();
  const now = useNow();
  const { status, ready, isAllKnown } = outbox;
  const open = outbox.entries.value.filter(isOpen);
  const below = outbox.undeliverable.value.length > 0 || outbox.losses.value.length > 0;
  const principal = session.session.value?.principal;

  function save() {
    if (!principal) return;
    const at = new Date(clock.now()).toISOString();
    const held = {
      entries: outbox.entries.value,
      undeliverable: outbox.undeliverable.value,
      losses: outbox.losses.value,
    };
    download(exportName(at), exportText(principal, held, at));
  }

  const lanes = (Object.keys(LANE_WORDS) as Lane[]).filter((lane) => open.some((one) => one.lane === lane));
  return (
    <>
      <Heading title="What is waiting" />
      <p class="legend">
        <span>
          <Mark sign="tick" /> One tick: on this device
        </span>
        <span>
          <Mark sign="ticks" /> Two ticks: on the server
        </span>
      </p>
      {status.value.storage === "unsafe" && (
        <p class="alarm" role="alert">
          <Mark sign="warn" /> <strong>Not safe yet.</strong> This device can’t keep what you do now. It is
          sent to the server straight away; until two ticks stand beside a thing, keep this page open.
        </p>
      )}
      {!ready.value && <p class="loading">Reading what waits on this device…</p>}
      {isAllKnown.value && open.length === 0 && (
        <p>
          <Mark sign={below ? "stop" : "ticks"} /> Nothing waits.{" "}
          {below
            ? "Everything else you did on this device is on the server; this is not:"
            : "Everything you did on this device is on the server."}
        </p>
      )}
      {lanes.map((lane) => (
        <LaneList
          key={lane}
          title={LANE_WORDS[lane]}
          entries={open.filter((one) => one.lane === lane)}
          state={status.value.lanes[lane].state}
          now={now}
        />
      ))}
      {open.length > 0 && (
        <>
          <p class="buttons">
            <button type="button" onClick={outbox.sendNow}>
              Send now
            </button>
            {/* With refusals below, it stands there, where it is explained; the file is the same. */}
            {outbox.undeliverable.value.length === 0 && (
              <button type="button" class="quiet" onClick={save}>
                Save a copy as a file
              </button>
            )}
          </p>
          <p class="small">
            Nothing here is ever deleted because it is old. What waits longer than {WARN_AFTER_WORDS} is
            marked, and the line at the foot of every page says so.
          </p>
        </>
      )}
      <Refusals onSave={save} />
      <Losses />
    </>
  );
}

function LaneList(props: { title: string; entries: Entry[]; state: LaneState; now: number }) {
  const { title, entries, state, now } = props;
  return (
    <section>
      <h2>{title}</h2>
      <p>
        {/* The time stands outside: each new one would be read aloud. */}
        <span role="status">
          {counted(entries.length, "thing waits", "things wait")}
          {laneInWords(state)}.{state.name === "waiting" && <Why why={state.why} />}
        </span>
        <NextTry now={state} brief />
      </p>
      <ul class="waiting">
        {entries.slice(0, SHOWN).map((entry) => (
          <Row key={entry.id} entry={entry} now={now} />
        ))}
      </ul>
      {entries.length > SHOWN && <p>and {entries.length - SHOWN} more, newer ones</p>}
    </section>
  );
}

const Why = ({ why }: { why: string }) => <span class="small"> {sentence(why)}</span>;

function laneInWords(state: LaneState): string {
  switch (state.name) {
    case "idle":
      return ", about to be sent";
    case "sending":
      return ", being sent now";
    case "waiting":
      return state.asked ? "; the server asked for a pause" : "";
    case "held":
      return `: ${holdInWords(state.why)}`;
  }
}

function Row({ entry, now }: { entry: Entry; now: number }) {
  const { says, state, createdAt } = entry;
  const overdue = isWork(entry) && isOverdue(createdAt, now);
  const since = atTime(createdAt, now);
  return (
    <li class={overdue ? "overdue" : ""}>
      <Mark sign={SIGNS[state.name]} />
      <div>
        {says}
        <p class="small">
          {state.name === "kept" ? "Kept on this device" : bare(stateInWords(state))} since {since}.
          {state.name === "kept" && <NextTry now={state.now} brief />}
          {overdue && <strong> Waiting for long: done {ago(createdAt, now)}.</strong>}
        </p>
      </div>
    </li>
  );
}

function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads it after this turn.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
