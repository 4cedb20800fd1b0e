/** When this tab looks for losses. That needs the network, so its code comes by it too: a first load is smaller. */
import type { Clock } from "../core/clock";
import type { Book } from "./book";
import type { Lease } from "./lease";
import type { LossWatch } from "./loss";
import type { PassKeeper } from "./pass";
import type { News } from "./port";
import type { Ranges } from "./ranges";
import type { Store } from "./store";

export type LossLook = ReturnType<typeof createLook>;

export function createLook(
  store: Store,
  book: Book,
  clock: Clock,
  mintId: () => string,
  pass: PassKeeper,
  lease: Lease,
  tell: (news: News) => void,
) {
  let loss: LossWatch | undefined;
  let missing: Ranges = [];
  return {
    /** What the server misses of the present numbering, by its last word. */
    missed(numbers: Ranges): void {
      missing = numbers;
    },
    async look(): Promise<void> {
      const { lastSeq, suspects } = book.known();
      if (!lease.holds() || (lastSeq === 0 && suspects.length === 0)) return;
      try {
        if (!("csrfToken" in (await pass.ask()))) return;
        const { watchLoss } = await import("./loss");
        loss ??= watchLoss(store, book, pass.calls, mintId, clock.now, tell);
        await loss.look(missing);
      } catch {
        // The network or the storage is out: the next drain looks again.
      }
    },
  };
}
