/** How a lane fares: what it waits for, until when, and what is put off in it entry by entry. */
import { askedWaitMs, waitMs } from "../core/backoff";
import type { Clock } from "../core/clock";
import type { Holding, Wait } from "./judge";
import type { LaneState } from "./port";
import { LARGEST_BATCH } from "./requests";

export const SHORTEST_GATHER_MS = 1_000;
export const LONGEST_GATHER_MS = 8_000;
/** How long until a held lane asks again by itself whether it may send. */
const HELD_MS = 60_000;

/** Until when to wait, by the steady clock and by the one that people read. */
interface Pause {
  readonly untilMs: number;
  readonly atMs: number;
  readonly why: string;
  readonly asked: boolean;
}

export interface Run {
  busy: boolean;
  attempt: number;
  wait?: Pause | undefined;
  held?: Holding["held"] | undefined;
  limit: number;
  gatherMs: number;
  /** When the lane's timer rings, by both clocks. */
  dueMs: number;
  dueAtMs: number;
  cancel: () => void;
  /** Entries put off one by one: how often, until when. */
  readonly off: Map<string, { attempt: number; untilMs: number; asked: boolean }>;
}

export const newRun = (): Run => ({
  busy: false,
  attempt: 0,
  limit: LARGEST_BATCH,
  gatherMs: SHORTEST_GATHER_MS,
  dueMs: Number.POSITIVE_INFINITY,
  dueAtMs: 0,
  cancel: () => {},
  off: new Map(),
});

export function stateOf({ busy, held, wait, dueMs, dueAtMs }: Run, nowMs: number): LaneState {
  if (held) return { name: "held", why: held };
  if (wait) return { name: "waiting", nextTryAtMs: wait.atMs, why: wait.why, asked: wait.asked };
  if (busy || dueMs <= nowMs) return { name: "sending" };
  if (dueMs === Number.POSITIVE_INFINITY) return { name: "idle" };
  return { name: "waiting", nextTryAtMs: Math.round(dueAtMs), why: "more may come", asked: false };
}

export function createPauses(clock: Clock, random: () => number) {
  const pause = (forMs: number, why: string, asked: boolean): Pause => ({
    untilMs: clock.elapsed() + forMs,
    atMs: Math.round(clock.now() + forMs),
    why,
    asked,
  });

  function until(attempt: number, { why, askedS }: Wait): Pause {
    const asked = askedS !== undefined;
    return pause(asked ? askedWaitMs(askedS, random) : waitMs(attempt, random), why, asked);
  }

  return {
    /** The lane waits. */
    putOff(run: Run, wait: Wait): void {
      run.attempt += 1;
      run.wait = until(run.attempt, wait);
    },
    /** One entry waits; its neighbours go on. */
    putOffOne({ off }: Run, id: string, wait: Wait): void {
      const attempt = (off.get(id)?.attempt ?? 0) + 1;
      off.set(id, { attempt, ...until(attempt, wait) });
    },
    hold(run: Run, why: Holding["held"]): void {
      run.held = why;
      run.wait = pause(HELD_MS, why, false);
    },
  };
}
