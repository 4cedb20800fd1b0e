/**
 * Is the portal well, as far as this page can tell? Asked every 15 s; the stream of changes comes later.
 * When nothing comes back, the page says whose fault it seems to be: the person's network or our service.
 */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Clock } from "../core/clock";
import type { Problem } from "../core/problem";
import type { Calls } from "../wire/calls";
import type { Health } from "../wire/shapes";

export type Reach = "asking" | "reached" | "ourService" | "yourNetwork" | "inBetween";

export interface Service {
  reach: Reach;
  /** The last word of the server, also while it cannot be reached. */
  health?: Health;
  /** When that word came, on the clock's `now` line. */
  confirmedAtMs?: number;
}

const ASK_EVERY_MS = 15_000;

export interface HealthParts {
  calls: Pick<Calls, "health">;
  clock: Clock;
  /** The browser's opinion: false is sure, true is a hope. */
  online: () => boolean;
  /** After every answer of the server; `again` when the one before was missing. */
  onReached: (again: boolean) => void;
}

export type HealthWatch = ReturnType<typeof watchHealth>;

export function watchHealth({ calls, clock, online, onReached }: HealthParts) {
  const service = signal<Service>({ reach: "asking" });
  let cancelNext = () => {};
  let asking = false;

  async function ask(): Promise<void> {
    if (asking) return;
    asking = true;
    cancelNext();
    const answer = await calls.health();
    asking = false;
    const before = service.peek();
    if (answer.ok) {
      service.value = { reach: "reached", health: answer.value, confirmedAtMs: clock.now() };
      onReached(before.reach !== "reached" && before.reach !== "asking");
    } else {
      service.value = { ...before, reach: reachAfter(answer.problem, online()) };
    }
    cancelNext = clock.after(ASK_EVERY_MS, () => void ask());
  }

  return { service: service as ReadonlySignal<Service>, ask };
}

export function reachAfter(problem: Problem, online: boolean): Reach {
  if (!online) return "yourNetwork";
  return problem.family === "garbled" ? "inBetween" : "ourService";
}
