/** The outbox's condition: counts from the database, lanes' states from whoever sends, told when it changes. */
import type { Clock } from "../core/clock";
import type { Aside } from "./aside";
import { type Lane, perLane } from "./entry";
import type { Lease } from "./lease";
import type { LaneState, LaneStatus, Status } from "./port";
import type { Counts, Store } from "./store";

/** A burst of news is counted once. */
const SHORTEST_PAUSE_MS = 100;
/** Counting ten thousand entries takes a while: so many times as long nothing is counted again. */
const PAUSE_PER_COUNT = 10;

export interface StatusWatch {
  readonly status: () => Status;
  /** Says anew what needs no counting. */
  recompose(): void;
  /** Counts anew, now or soon. */
  refresh(): Promise<void>;
  close(): void;
}

const NONE: Counts = {
  lanes: perLane(() => ({ count: 0, oldest: 0 })),
  undeliverable: 0,
  losses: 0,
};

export function watchStatus(
  store: Store,
  clock: Clock,
  lease: Lease,
  aside: Aside,
  stateOf: (lane: Lane) => LaneState,
  changed: (status: Status) => void,
): StatusWatch {
  let counted = NONE;
  let status = compose();
  let last = "";
  let running: Promise<void> | undefined;
  let again = false;
  let closed = false;
  let cancel = () => {};

  function compose(): Status {
    let backlog = 0;
    const lanes = perLane((lane): LaneStatus => {
      const { count, oldest } = counted.lanes[lane];
      backlog += count;
      const oldestAt = (oldest as { createdAt?: string } | undefined)?.createdAt;
      return { waiting: count, oldestAt, state: count > 0 ? stateOf(lane) : { name: "idle" } };
    });
    return {
      storage: aside.isSafe() ? "safe" : "unsafe",
      lanes,
      backlog,
      undeliverable: counted.undeliverable,
      losses: counted.losses,
      sendsHere: lease.holds(),
    };
  }

  function recompose(): void {
    const next = compose();
    const text = JSON.stringify(next);
    if (closed || text === last) return;
    last = text;
    status = next;
    changed(next);
  }

  async function count(): Promise<void> {
    const beganMs = clock.elapsed();
    try {
      counted = await store.counts();
    } catch {
      // Storage is out: its last counts stay, and `storage` says that it is.
    }
    recompose();
    if (closed) return;
    const pauseMs = Math.max(SHORTEST_PAUSE_MS, PAUSE_PER_COUNT * (clock.elapsed() - beganMs));
    cancel = clock.after(pauseMs, () => {
      running = undefined;
      if (again) void refresh();
    });
  }

  function refresh(): Promise<void> {
    again = running !== undefined;
    running ??= count();
    return running;
  }

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
