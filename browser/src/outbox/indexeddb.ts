/** Entries in IndexedDB: one database per principal. */
import { connect, done } from "./connection";
import { type Lane, perLane } from "./entry";
import {
  type Change,
  type Counts,
  type Found,
  type Key,
  keyIn,
  type Meta,
  SHELVES,
  type Shelf,
  type Store,
} from "./store";

/** Raised when a shelf is added. Upgrades only add: an older build goes on with what it knows. */
const SCHEMA_VERSION = 1;
const META = "meta";
const META_KEY = 0;

export function openIndexedDb(factory: () => IDBFactory, name: string): Store {
  const connection = connect(factory, name, SCHEMA_VERSION, (database) => {
    for (const shelf of [META, ...SHELVES]) {
      if (!database.objectStoreNames.contains(shelf)) database.createObjectStore(shelf);
    }
  });

  /** Numbers come after `after` and before any array, which IndexedDB sorts behind all numbers. */
  const rangeOf = (lane: Lane, after = 0): IDBKeyRange => IDBKeyRange.bound([lane, after], [lane, []], true);

  /** One reading transaction; `ask` makes its requests at once, their results are there when it is done. */
  function reading<T>(shelves: readonly string[], ask: (transaction: IDBTransaction) => () => T): Promise<T> {
    return connection.use(async (database) => {
      const transaction = database.transaction(shelves as string[], "readonly");
      const result = ask(transaction);
      await done(transaction);
      return result();
    });
  }

  async function salvage(
    shelf: Shelf,
    keysOf: (transaction: IDBTransaction) => IDBRequest<IDBValidKey[]>,
  ): Promise<Found[]> {
    const listed = () => reading([shelf], (transaction) => asIs(keysOf(transaction)));
    const found: Found[] = [];
    for (const key of await listed()) {
      const get = () => reading([shelf], (transaction) => asIs(transaction.objectStore(shelf).get(key)));
      // Twice, and with the list read in between: a database that died just now has lost no record.
      const record = await get().catch(async () => {
        await listed();
        return get().catch(() => undefined);
      });
      found.push([key as Key, record]);
    }
    await listed();
    return found;
  }

  return {
    write: (decide, strict) =>
      connection.use((database) => {
        const transaction = database.transaction([META, ...SHELVES], "readwrite", {
          durability: strict ? "strict" : "relaxed",
        });
        const ended = done(transaction);
        let fault: unknown;
        const meta = transaction.objectStore(META);
        const read: IDBRequest<Meta | undefined> = meta.get(META_KEY);
        read.onsuccess = () => {
          try {
            make(transaction, decide(read.result));
            transaction.commit?.();
          } catch (thrown) {
            fault = thrown;
            transaction.abort();
          }
        };
        return ended.catch((aborted) => {
          throw fault ?? aborted;
        });
      }),

    async read(shelf, lane, limit, after) {
      const range = lane && rangeOf(lane, after);
      const keysOf = (transaction: IDBTransaction) => transaction.objectStore(shelf).getAllKeys(range, limit);
      try {
        return await reading([shelf], (transaction) => {
          const keys = keysOf(transaction);
          const records = transaction.objectStore(shelf).getAll(range, limit);
          return () => {
            if (keys.result.length !== records.result.length) throw new Error("records are missing");
            return keys.result.map((key, at): Found => [key as Key, records.result[at]]);
          };
        });
      } catch {
        // One record that can't be read fails them all: then each is asked for by itself.
        return salvage(shelf, keysOf);
      }
    },

    numbers: () =>
      reading(["entries"], (transaction) => {
        const keys = asIs(transaction.objectStore("entries").getAllKeys());
        return () => keys().map((key) => (key as [string, number])[1]);
      }),

    counts: () =>
      reading(SHELVES, (transaction) => {
        const entries = transaction.objectStore("entries");
        const lanes = perLane((lane) => ({
          count: entries.count(rangeOf(lane)),
          oldest: entries.getAll(rangeOf(lane), 1),
        }));
        const undeliverable = transaction.objectStore("undeliverable").count();
        const losses = transaction.objectStore("losses").count();
        return (): Counts => ({
          lanes: perLane((lane) => {
            const { count, oldest } = lanes[lane];
            return { count: count.result, oldest: oldest.result[0] };
          }),
          undeliverable: undeliverable.result,
          losses: losses.result,
        });
      }),

    close: connection.close,
  };
}

const asIs =
  <T>(request: IDBRequest<T>): (() => T) =>
  () =>
    request.result;

function make(transaction: IDBTransaction, change: Change | undefined): void {
  if (change?.meta) transaction.objectStore(META).put(change.meta, META_KEY);
  for (const [shelf, record] of change?.put ?? []) {
    transaction.objectStore(shelf).put(record, keyIn(shelf, record) as IDBValidKey);
  }
  for (const [shelf, key] of change?.drop ?? []) transaction.objectStore(shelf).delete(key as IDBValidKey);
}
