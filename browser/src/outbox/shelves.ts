/** What is done with entries once they are kept: read, settle, refuse, put away, try again, discard. */
import type { Clock } from "../core/clock";
import type { Book } from "./book";
import type { Entry, Lane, Loss, Undeliverable } from "./entry";
import type { Answered, News } from "./port";
import { rangesOf, union } from "./ranges";
import { unseal } from "./record";
import type { Outcome } from "./requests";
import type { Change, Found, Key, Shelf, Store } from "./store";

/** So many of the server's answers to assignments stay readable. */
const ANSWERS_KEPT = 50;

type Put = readonly [Shelf, object];
type Drop = readonly [Shelf, Key];

export type Shelves = ReturnType<typeof createShelves>;

export function createShelves(store: Store, book: Book, clock: Clock, tell: (news: News) => void) {
  const since = (): string => new Date(clock.now()).toISOString();

  /**
   * Changes shelves; numbers that end here without the server's counting them are noted as gone. What is
   * undeliverable has not ended: it is lost with its database, as what waits is.
   */
  async function change(
    put: readonly Put[],
    drop: readonly Drop[],
    gone: readonly number[],
    strict = true,
    epoch?: number,
  ): Promise<boolean> {
    let done = false;
    await book.write((meta): Change | undefined => {
      done = epoch === undefined || epoch === meta.epoch;
      if (!done) return undefined;
      const numbers = gone.filter((seq) => seq > 0);
      return {
        put,
        drop,
        ...(numbers.length > 0 && { meta: { ...meta, gone: union(meta.gone, rangesOf(numbers)) } }),
      };
    }, strict);
    return done;
  }

  const keyOf = ({ lane, seq }: Entry): Drop => ["entries", [lane, seq]];

  /** Whole entries of what was read. What is not whole any more is moved aside, with all that is left of it. */
  async function whole(found: readonly Found[]): Promise<Entry[]> {
    const entries: Entry[] = [];
    const broken: [Key, Undeliverable][] = [];
    for (const [key, record] of found) {
      const entry = unseal(record);
      if (entry) entries.push(entry);
      else broken.push([key, remains(key, record)]);
    }
    if (broken.length > 0) {
      await change(
        broken.map(([, item]) => ["undeliverable", item]),
        broken.map(([key]) => ["entries", key]),
        [],
      );
      for (const [, item] of broken) tell({ type: "undeliverable", item });
    }
    return entries;
  }

  function remains([lane, seq]: Key, left: unknown): Undeliverable {
    const { orgId, userId, generation } = book.known();
    const entry = {
      id: `unreadable-${generation}-${seq}`,
      kind: "unreadable",
      payload: "",
      createdAt: since(),
      version: 0,
      checksum: "",
      orgId,
      userId,
      generation,
      lane,
      seq,
      ...(left as object | undefined),
    } as Entry;
    return {
      id: entry.id,
      entry,
      code: "damaged",
      reason: "This device's storage damaged this entry, so it cannot be sent as it was.",
      since: since(),
    };
  }

  async function waiting(lane?: Lane, limit?: number): Promise<Entry[]> {
    return whole(await store.read("entries", lane, limit));
  }

  const records = async <T>(shelf: Shelf): Promise<T[]> =>
    (await store.read(shelf)).flatMap(([, record]) => (record ? [record as T] : []));
  const undeliverable = () => records<Undeliverable>("undeliverable");

  return {
    waiting,
    undeliverable,
    losses: () => records<Loss>("losses"),
    answers: () => records<Answered>("answers"),
    change,

    /** Makes an outcome lasting and tells it. False when another tab has taken over sending since. */
    async settle({ settled, refused, answer, epoch }: Outcome): Promise<boolean> {
      const items = refused.map(
        ([entry, why]): Undeliverable => ({ id: entry.id, entry, ...why, since: since() }),
      );
      const answered: Answered[] = answer ? settled.map(([{ id }]) => ({ id, answer, since: since() })) : [];
      const old = answer ? (await store.read("answers")).slice(0, -ANSWERS_KEPT) : [];
      const done = await change(
        [
          ...items.map((item): Put => ["undeliverable", item]),
          ...answered.map((one): Put => ["answers", one]),
        ],
        [
          ...[...settled, ...refused].map(([entry]) => keyOf(entry)),
          ...old.map(([key]): Drop => ["answers", key]),
        ],
        // The server counts a number when it journals it: not that of a duplicate.
        settled.filter(([, how]) => how === "duplicate").map(([{ seq }]) => seq),
        // A loss of power brings all of it back at worst: then it is sent again, and the server knows it.
        false,
        epoch,
      );
      if (!done) return false;
      for (const [{ id, lane }, outcome] of settled) tell({ type: "settled", id, lane, outcome });
      for (const one of answered) tell({ type: "answered", ...one });
      for (const item of items) tell({ type: "undeliverable", item });
      return true;
    },

    async tryAgain(id: string): Promise<Entry | undefined> {
      const item = (await undeliverable()).find((one) => one.id === id);
      if (!item || !unseal(item.entry)) return undefined;
      await change([["entries", item.entry]], [["undeliverable", id]], []);
      return item.entry;
    },

    async putAway(id: string): Promise<void> {
      const item = (await undeliverable()).find((one) => one.id === id);
      await change([], [["undeliverable", id]], item ? [item.entry.seq] : []);
    },

    /** All in one transaction: a failure leaves all of it there. */
    async discardAll(): Promise<number> {
      const found = await store.read("entries");
      await change(
        [],
        found.map(([key]) => ["entries", key]),
        found.map(([key]) => Number(key[1])),
      );
      return found.length;
    },
  };
}
