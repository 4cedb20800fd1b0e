/** Where all that a person did stands, in one word; two ticks only for what is known to be true. */
import type { OutboxState } from "./outbox";

export type Standing =
  /** This device can't keep what they do. */
  | { readonly name: "unsafe" }
  /** What waited from before is still being read, so that nothing can be said of it. */
  | { readonly name: "looking" }
  | { readonly name: "waiting" | "refused"; readonly count: number }
  /** This device lost something. */
  | { readonly name: "lost" }
  | { readonly name: "onServer" };

type Told = Pick<OutboxState, "status" | "ready" | "openWork" | "refusedWork" | "losses">;

export function standingOf({ status, ready, openWork, refusedWork, losses }: Told): Standing {
  const work = openWork.value;
  if (status.value.storage === "unsafe" || work.some(({ state }) => state.name === "unsafe")) {
    return { name: "unsafe" };
  }
  if (!ready.value) return { name: "looking" };
  if (work.length > 0) return { name: "waiting", count: work.length };
  const refused = refusedWork.value.length;
  if (refused > 0) return { name: "refused", count: refused };
  return losses.value.length > 0 ? { name: "lost" } : { name: "onServer" };
}
