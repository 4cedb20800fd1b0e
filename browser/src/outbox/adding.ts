/** Adds events: to the database, or where that keeps nothing, aside and straight to the server. */
import type { Clock } from "../core/clock";
import type { Aside } from "./aside";
import type { Beacon } from "./beacon";
import type { Book } from "./book";
import type { Keeper } from "./commit";
import type { Draft, Entry, Principal } from "./entry";
import { freshOf } from "./fresh";
import type { Lease } from "./lease";
import type { News } from "./port";
import type { Sender } from "./sender";

export interface Adding {
  /** As the outbox's own `add`. */
  add(draft: Draft): Promise<Entry>;
  /** An entry is in the database now: it is told, and sent. */
  added(entry: Entry): void;
  /** The same for one that was aside first. */
  rescued(entry: Entry): void;
}

export function createAdding(
  principal: Principal,
  clock: Clock,
  mintId: () => string,
  book: Book,
  keep: Keeper["keep"],
  aside: Aside,
  beacon: Beacon,
  lease: Lease,
  sender: Sender,
  tell: (news: News) => void,
): Adding {
  /** They may be offered again. */
  const rescued = new Map<string, Entry>();

  function added(entry: Entry): void {
    tell({ type: "added", entry });
    beacon.added(entry);
    if (lease.holds() || entry.seq === 0) sender.added(entry);
  }

  return {
    added,
    rescued(entry) {
      rescued.set(entry.id, entry);
      added(entry);
    },
    async add(draft) {
      const fresh = freshOf(draft, principal, mintId, clock.now());
      if (aside.has(fresh.id)) await aside.probe();
      const before = rescued.get(fresh.id);
      if (before) return before;
      if (aside.isSafe()) {
        try {
          const entry = await keep(fresh);
          added(entry);
          return entry;
        } catch {
          aside.failed(false);
        }
      }
      const sentDirectly = aside.take(fresh, book.known().generation);
      sender.added(fresh, true);
      throw Object.assign(new Error("This device could not keep it."), { name: "NotKept", sentDirectly });
    },
  };
}
