/** What the sender asks for: leave to send, what is due, the request itself, and that its outcome lasts. */
import { settleArrived } from "./arrived";
import type { Aside } from "./aside";
import type { Beacon } from "./beacon";
import type { Book } from "./book";
import type { Entry } from "./entry";
import type { Lease } from "./lease";
import type { LossLook } from "./look";
import type { PassKeeper } from "./pass";
import type { News } from "./port";
import { fitting, type Outcome, post } from "./requests";
import type { SenderParts } from "./sender";
import type { Shelves } from "./shelves";
import { isOpen } from "./store";

export function createDelivery(
  book: Book,
  shelves: Shelves,
  aside: Aside,
  beacon: Beacon,
  pass: PassKeeper,
  lease: Lease,
  losses: LossLook,
  tell: (news: News) => void,
): Pick<SenderParts, "authorize" | "pick" | "post" | "settle"> {
  let reconciled = false;

  const notSentDirectly = (entries: readonly Entry[]): void => {
    for (const { id } of entries) aside.notSent(id);
  };

  function settleAside({ settled, later }: Outcome): true {
    for (const [{ id, lane }, outcome] of settled) {
      aside.drop(id, true);
      tell({ type: "settled", id, lane, outcome });
    }
    notSentDirectly(later.map(([entry]) => entry));
    return true;
  }

  /** Storage that fails while something is read or settled is as dead as one that keeps nothing. */
  async function orUnsafe<T>(work: Promise<T>, reading: boolean): Promise<T> {
    try {
      return await work;
    } catch (fault) {
      aside.failed(reading);
      throw fault;
    }
  }

  return {
    async authorize() {
      const given = await pass.ask();
      if (!("csrfToken" in given)) notSentDirectly(aside.of());
      else if (!reconciled && lease.holds()) {
        reconciled = true;
        if (await settleArrived(beacon.unanswered(), pass.calls, book.known(), shelves, lease.epoch()))
          return "again";
      }
      return given;
    },

    async pick(lane, limit, skip) {
      const due = (entries: readonly Entry[]) =>
        fitting(
          entries.filter(({ id }) => !skip.has(id)),
          limit,
        );
      // What only this tab has goes first, and by this tab, whoever holds the lease.
      const mine = due(aside.of(lane));
      if (mine.length > 0 || !lease.holds() || !aside.isReadable()) return mine;
      // The beat notices a database that was deleted, also where nothing is added after it.
      if (book.known().suspects.some(isOpen)) void losses.look();
      return due(await orUnsafe(shelves.waiting(lane, limit + skip.size), true));
    },

    async post(entries) {
      // Now, not when the answer comes: by then another tab may be sending.
      const epoch = lease.epoch();
      const outcome = { ...(await post(pass.calls, book.known(), entries)), epoch };
      const { settled, refused, later, next, device } = outcome;
      if (next === "renew" || (next && typeof next === "object" && "held" in next)) pass.drop();
      if (device && entries[0]?.generation === book.known().generation) losses.missed(device.missing);
      if (entries[0]?.seq === 0) {
        // Nothing holds a refusal now: it is asked for again once the database has the entry, and kept there.
        for (const [entry, { reason }] of refused.splice(0)) later.push([entry, { why: reason }]);
        if (next !== "split" && settled.length === 0) notSentDirectly(entries);
      }
      return outcome;
    },

    async settle(outcome) {
      if (outcome.settled[0]?.[0].seq === 0) return settleAside(outcome);
      const done = await orUnsafe(shelves.settle(outcome), false);
      if (!done) lease.lost();
      return done;
    },
  };
}
