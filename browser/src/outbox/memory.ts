/** Entries in memory: for tests, and for a browser that has no database to give. */
import { perLane } from "./entry";
import { type Found, type Key, keyIn, type Meta, SHELVES, type Shelf, type Store } from "./store";

const SEQ_DIGITS = 16;
const nameOf = (key: Key): string =>
  typeof key === "string" ? key : `${key[0]} ${`${key[1]}`.padStart(SEQ_DIGITS, "0")}`;

export function openMemory(): Store {
  let meta: Meta | undefined;
  const shelves = new Map<Shelf, Map<string, Found>>(SHELVES.map((shelf) => [shelf, new Map()]));
  const on = (shelf: Shelf) => shelves.get(shelf) as Map<string, Found>;
  const sorted = (shelf: Shelf): Found[] =>
    [...on(shelf)].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, found]) => found);
  const entries = (): [lane: string, seq: number, record: unknown][] =>
    sorted("entries").map(([[lane, seq], record]) => [`${lane}`, Number(seq), record]);

  return {
    async write(decide) {
      const change = decide(meta);
      if (!change) return;
      meta = change.meta ?? meta;
      // As in a database: what is kept is a copy, which nobody else can change.
      for (const [shelf, record] of change.put ?? []) {
        const key = keyIn(shelf, record);
        on(shelf).set(nameOf(key), [key, structuredClone(record)]);
      }
      for (const [shelf, key] of change.drop ?? []) on(shelf).delete(nameOf(key));
    },
    async read(shelf, lane, limit, after = 0) {
      return sorted(shelf)
        .filter(([key]) => lane === undefined || (key[0] === lane && Number(key[1]) > after))
        .slice(0, limit);
    },
    async numbers() {
      return entries().map(([, seq]) => seq);
    },
    async counts() {
      const lanes = perLane((lane) => {
        const inLane = entries().filter(([name]) => name === lane);
        return { count: inLane.length, oldest: inLane[0]?.[2] };
      });
      return {
        lanes,
        undeliverable: on("undeliverable").size,
        losses: on("losses").size,
      };
    },
    close() {},
  };
}
