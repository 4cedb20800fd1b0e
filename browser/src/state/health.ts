/** The service as every tab of this browser knows it, as signals; see `feed/runtime.ts` for how. */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Clock } from "../core/clock";
import type { Service } from "../feed/ladder";
import { type RuntimeParts, startRuntime } from "../feed/runtime";
import type { Page } from "../outbox/index";
import type { Calls } from "../wire/calls";
import type { ToPage } from "../wire/worker-words";

export type { Reach, Service } from "../feed/ladder";

/** The stream says so many small things; what hangs on "the server is there" need not hear each. */
const REACHED_EVERY_MS = 10_000;

export interface HealthParts extends Pick<RuntimeParts, "wire" | "random" | "online" | "locks" | "channel"> {
  calls: Pick<Calls, "health">;
  clock: Clock;
  page: Page;
  /** While the server is there, every so often; `again` when it was missing before. */
  onReached: (again: boolean) => void;
}

export type HealthWatch = ReturnType<typeof watchHealth>;

export function watchHealth(parts: HealthParts) {
  const { calls, clock, page, onReached } = parts;
  const service = signal<Service>({ reach: "asking", via: "none" });
  const workerNews = signal<ToPage | undefined>(undefined);
  let saidReachedMs = Number.NEGATIVE_INFINITY;

  function changed(next: Service): void {
    const before = service.peek();
    service.value = next;
    if (next.reach !== "reached") return;
    const again = before.reach !== "reached" && before.reach !== "asking";
    if (!again && clock.elapsed() - saidReachedMs < REACHED_EVERY_MS) return;
    saidReachedMs = clock.elapsed();
    onReached(again);
  }

  const runtime = startRuntime({
    ...parts,
    poll: calls.health,
    visible: page.visible,
    changed,
    worker(news) {
      workerNews.value = news;
    },
  });
  // A tab about to be frozen or closed lets another lead; one that comes back may lead again.
  page.listen((change) => (change === "gone" ? runtime.rest() : change === "seen" && runtime.wake()));

  return {
    service: service as ReadonlySignal<Service>,
    workerNews: workerNews as ReadonlySignal<ToPage | undefined>,
    /** Asks now; `audience` names who is signed in, for others are told other things. */
    ask: runtime.ask,
  };
}
