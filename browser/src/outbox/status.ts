/** The outbox's condition: counts from the database, lanes' states from whoever sends, told when it changes. */
import type { Clock } from "../core/clock";
import { LANES, type Lane } from "./entry";
import type { LaneState, LaneStatus, Status } from "./port";
import type { Store } from "./store";

/** Counting ten thousand entries costs milliseconds: a burst of news is counted once. */
const SHORTEST_PAUSE_MS = 100;

export interface StatusParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly stateOf: (lane: Lane) => LaneState;
  readonly sendsHere: () => boolean;
  readonly isSafe: () => boolean;
  /** Entries that only this tab holds, while storage is dead. */
  readonly aside: (lane: Lane) => readonly { readonly createdAt: string }[];
  readonly changed: (status: Status) => void;
}

export interface StatusWatch {
  readonly status: () => Status;
  /** Says anew what needs no counting. */
  recompose(): void;
  /** Counts anew, now or soon. */
  refresh(): Promise<void>;
  close(): void;
}

export async function watchStatus(parts: StatusParts): Promise<StatusWatch> {
  const { store, clock } = parts;
  let counted = await store.counts();
  let status = compose();
  let last: string;
  let running: Promise<void> | undefined;
  let again = false;
  let closed = false;
  let cancel = () => {};

  function compose(): Status {
    let backlog = 0;
    const lanes = LANES.map((lane): [Lane, LaneStatus] => {
      const { count, oldest } = counted.lanes[lane];
      const aside = parts.aside(lane);
      const waiting = count + aside.length;
      backlog += waiting;
      const times = [oldest, aside[0]].map((one) => (one as { createdAt?: string } | undefined)?.createdAt);
      const [oldestAt] = times.filter((time) => time !== undefined).sort();
      return [lane, { waiting, oldestAt, state: waiting > 0 ? parts.stateOf(lane) : { name: "idle" } }];
    });
    return {
      storage: parts.isSafe() ? "safe" : "unsafe",
      lanes: Object.fromEntries(lanes) as Status["lanes"],
      backlog,
      undeliverable: counted.undeliverable,
      losses: counted.losses,
      sendsHere: parts.sendsHere(),
    };
  }

  function recompose(): void {
    const next = compose();
    const text = JSON.stringify(next);
    if (text === last) return;
    last = text;
    status = next;
    parts.changed(next);
  }

  async function count(): Promise<void> {
    try {
      counted = await store.counts();
    } catch {
      // Storage is out: its last counts stay, and `storage` says that it is.
    }
    if (closed) return;
    recompose();
    cancel = clock.after(SHORTEST_PAUSE_MS, () => {
      running = undefined;
      if (again) void refresh();
    });
  }

  function refresh(): Promise<void> {
    again = running !== undefined;
    running ??= count();
    return running;
  }

  last = JSON.stringify(status);
  return {
    status: () => status,
    recompose,
    refresh,
    close() {
      closed = true;
      cancel();
    },
  };
}
