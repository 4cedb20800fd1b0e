/**
 * Sends what waits, lane by lane. It deletes nothing itself: `settle` does, for exactly the entries that an
 * outcome names. Whatever goes wrong, an entry stays and the lane comes back, by a timer that no new entry
 * has to start.
 */
import type { Clock } from "../core/clock";
import { inWords } from "../core/problem";
import { type Entry, isUrgent, LANES, type Lane, perLane } from "./entry";
import type { Pass } from "./parts";
import type { LaneState } from "./port";
import { LARGEST_BATCH, type Outcome } from "./requests";
import { createPauses, LONGEST_GATHER_MS, newRun, type Run, SHORTEST_GATHER_MS, stateOf } from "./run";

export interface SenderParts {
  /** "again": what waits is another now, so look again before sending. */
  readonly authorize: () => Promise<Pass | "again">;
  /** The oldest of a lane that this tab may send now, but for those to skip; none for a tab that must not. */
  readonly pick: (lane: Lane, limit: number, skip: ReadonlySet<string>) => Promise<Entry[]>;
  readonly post: (entries: readonly Entry[]) => Promise<Outcome>;
  /** Makes the outcome lasting. False: another tab has taken over, so it counts for nothing. */
  readonly settle: (outcome: Outcome) => Promise<boolean>;
  /** A lane's state is another now. */
  readonly changed: () => void;
  readonly drained: (total: Total) => void;
}

export interface Sender {
  stateOf(lane: Lane): LaneState;
  /** Something was added: sends it at once when it is urgent, else with what gathers in the next seconds. */
  added(entry: Pick<Entry, "kind" | "lane">, urgent?: boolean): void;
  /** Looks at every lane now; `asked`: also where a wait of our own making or a hold is on. */
  wake(asked: boolean): void;
  close(): void;
}

/** How often a lane is looked at, whatever happened. */
const WATCH_MS = 15_000;
/** What was done until no lane was busy any more. */
export interface Total {
  readonly sent: number;
  readonly duplicates: number;
  readonly undeliverable: number;
}
const NONE: Total = { sent: 0, duplicates: 0, undeliverable: 0 };

export function createSender(clock: Clock, random: () => number, parts: SenderParts): Sender {
  let closed = false;
  let total = NONE;
  const runs = perLane(newRun);
  const { putOff, putOffOne, hold } = createPauses(clock, random);

  /** Drains the lane after `delayMs`, but not before its wait is over and not after an earlier appointment. */
  function pump(lane: Lane, delayMs = 0): void {
    const run = runs[lane];
    const dueMs = Math.max(clock.elapsed() + delayMs, run.wait?.untilMs ?? 0);
    if (closed || run.busy || dueMs >= run.dueMs) return;
    run.cancel();
    run.dueMs = dueMs;
    run.dueAtMs = clock.now() + dueMs - clock.elapsed();
    run.cancel = clock.after(dueMs - clock.elapsed(), () => {
      run.dueMs = Number.POSITIVE_INFINITY;
      void drain(lane);
    });
  }

  async function drain(lane: Lane): Promise<void> {
    const run = runs[lane];
    if (closed || run.busy) return;
    run.busy = true;
    run.wait = run.held = undefined;
    try {
      while (!closed && !run.wait && (await turn(lane, run)));
    } catch {
      // The storage failed while an answer was being kept. The entries are still there, or nowhere.
      putOff(run, { why: "this device's storage does not answer" });
    }
    run.busy = false;
    parts.changed();
    if (run.wait) pump(lane);
    else if (run.off.size > 0) {
      pump(lane, Math.min(...[...run.off.values()].map(({ untilMs }) => untilMs)) - clock.elapsed());
    }
    if (total !== NONE && !LANES.some((name) => runs[name].busy)) {
      parts.drained(total);
      total = NONE;
    }
  }

  /** One request. False when there is nothing more to send now. */
  async function turn(lane: Lane, run: Run): Promise<boolean> {
    const nowMs = clock.elapsed();
    const skip = new Set([...run.off].filter(([, { untilMs }]) => untilMs > nowMs).map(([id]) => id));
    const entries = await parts.pick(lane, lane === "adminQueue" ? 1 : run.limit, skip);
    if (entries.length === 0) {
      // Put off, due again and not there: gone some other way. Nothing may be waited for in its name.
      for (const [id, { untilMs }] of run.off) if (untilMs <= nowMs) run.off.delete(id);
      return false;
    }
    parts.changed();
    const pass = await parts.authorize();
    if (pass === "again") return true;
    if ("problem" in pass) putOff(run, { why: inWords(pass.problem), askedS: pass.problem.retryAfterS });
    if ("held" in pass) hold(run, pass.held);
    if (!("csrfToken" in pass)) return false;
    const outcome = await parts.post(entries);
    const { settled, refused, later, next } = outcome;
    if (settled.length + refused.length > 0) {
      if (!(await parts.settle(outcome))) return false;
      run.attempt = 0;
      run.limit = LARGEST_BATCH;
      for (const [{ id }] of [...settled, ...refused]) run.off.delete(id);
      total = {
        sent: total.sent + settled.length,
        duplicates: total.duplicates + settled.filter(([, how]) => how === "duplicate").length,
        undeliverable: total.undeliverable + refused.length,
      };
    }
    for (const [{ id }, wait] of later) putOffOne(run, id, wait);
    // The newest answer says how long to gather: a server that is slow or asks for patience gets fewer requests.
    const tookMs = clock.elapsed() - nowMs;
    run.gatherMs = Math.min(LONGEST_GATHER_MS, Math.max(SHORTEST_GATHER_MS, 4 * tookMs));
    if (next === "split") run.limit = Math.ceil(entries.length / 2);
    else if (next === "renew") putOff(run, { why: "the session is being renewed" });
    else if (next && "held" in next) hold(run, next.held);
    else if (next) {
      run.gatherMs = LONGEST_GATHER_MS;
      putOff(run, next);
    }
    return true;
  }

  function wake(asked: boolean): void {
    for (const lane of LANES) {
      const run = runs[lane];
      if (asked) {
        if (!run.wait?.asked) {
          run.wait = undefined;
          run.dueMs = Number.POSITIVE_INFINITY;
          run.cancel();
        }
        for (const [id, off] of run.off) if (!off.asked) run.off.delete(id);
      }
      pump(lane);
    }
  }

  function watch(): () => void {
    return clock.after(WATCH_MS, () => {
      wake(false);
      cancelWatch = watch();
    });
  }
  let cancelWatch = watch();

  return {
    stateOf: (lane) => stateOf(runs[lane], clock.elapsed()),
    added: (entry, urgent = isUrgent(entry)) => pump(entry.lane, urgent ? 0 : runs[entry.lane].gatherMs),
    wake,
    close() {
      closed = true;
      cancelWatch();
      for (const lane of LANES) runs[lane].cancel();
    },
  };
}
