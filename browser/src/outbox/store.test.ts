import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { describe, expect, it } from "vitest";
import type { Entry, Lane } from "./entry";
import { openIndexedDb } from "./indexeddb";
import { openMemory } from "./memory";
import { checksumOf, seal } from "./record";
import type { Meta, Store } from "./store";

const ENGINES: [string, () => Store][] = [
  ["memory", openMemory],
  [
    "IndexedDB",
    () => {
      const factory = new IDBFactory();
      return openIndexedDb(() => factory, "test");
    },
  ],
];

const META: Meta = {
  deviceId: "device",
  generation: 1,
  lastSeq: 0,
  orgId: "tidewater",
  userId: "ada",
  epoch: 0,
  beatAtMs: 0,
  gone: [],
  suspects: [],
};

function entry(seq: number, lane: Lane = "progressQueue"): Entry {
  const fresh = {
    id: `id-${seq}`,
    lane,
    kind: "lesson.completed",
    orgId: "tidewater",
    userId: "ada",
    createdAt: `2026-11-23T08:00:${String(seq % 60).padStart(2, "0")}.000Z`,
    version: 1,
    payload: "{}",
  };
  return seal(fresh, checksumOf(fresh), 1, seq);
}
const put = (store: Store, ...entries: Entry[]) =>
  store.write(() => ({ put: entries.map((one) => ["entries", one] as const) }), true);
const seqs = (found: Awaited<ReturnType<Store["read"]>>) => found.map(([, record]) => (record as Entry).seq);

describe.each(ENGINES)("a store in %s", (_, open) => {
  it("begins with nothing", async () => {
    const store = open();
    expect(await store.read("entries")).toEqual([]);
    expect(await store.numbers()).toEqual([]);
    expect(await store.counts()).toMatchObject({ undeliverable: 0, losses: 0 });
    store.close();
  });

  it("gives back what was written, lane by lane in the order of numbers", async () => {
    const store = open();
    await put(store, entry(10), entry(2), entry(7, "analyticsQueue"), entry(9));
    expect(seqs(await store.read("entries", "progressQueue"))).toEqual([2, 9, 10]);
    expect(seqs(await store.read("entries", "progressQueue", 2))).toEqual([2, 9]);
    expect(seqs(await store.read("entries", "progressQueue", 2, 2))).toEqual([9, 10]);
    expect(seqs(await store.read("entries", "analyticsQueue"))).toEqual([7]);
    expect(await store.read("entries", "adminQueue")).toEqual([]);
    const [[key, record] = []] = await store.read("entries", "progressQueue", 1);
    expect(key).toEqual(["progressQueue", 2]);
    expect(record).toEqual(entry(2));
    store.close();
  });

  it("counts its shelves, and names each lane's oldest", async () => {
    const store = open();
    await put(store, entry(3), entry(1), entry(2, "adminQueue"));
    await store.write(() => ({ put: [["losses", { id: "loss" }]] }), true);
    const { lanes, losses, undeliverable } = await store.counts();
    expect([losses, undeliverable]).toEqual([1, 0]);
    expect(lanes.progressQueue).toMatchObject({ count: 2, oldest: { seq: 1 } });
    expect(lanes.adminQueue).toMatchObject({ count: 1, oldest: { seq: 2 } });
    expect(lanes.analyticsQueue.count).toBe(0);
    expect((await store.numbers()).sort()).toEqual([1, 2, 3]);
    store.close();
  });

  it("hands the meta record to whoever decides, and keeps what they make of it", async () => {
    const store = open();
    const seen: (Meta | undefined)[] = [];
    const look = (meta: Meta | undefined) => {
      seen.push(meta);
      return undefined;
    };
    await store.write(look, true);
    await store.write(() => ({ meta: META }), false);
    await store.write(look, true);
    expect(seen).toEqual([undefined, META]);
    store.close();
  });

  it("changes nothing when the decision throws", async () => {
    const store = open();
    await put(store, entry(1));
    const thrown = store.write(() => {
      throw new TypeError("no decision");
    }, true);
    await expect(thrown).rejects.toThrow("no decision");
    expect(await store.numbers()).toEqual([1]);
    store.close();
  });

  it("drops exactly what is named", async () => {
    const store = open();
    await put(store, entry(1), entry(2), entry(3));
    await store.write(() => ({ drop: [["entries", ["progressQueue", 2]]] }), true);
    expect(await store.numbers()).toEqual([1, 3]);
    store.close();
  });

  it("keeps a copy, which its giver can't change any more", async () => {
    const store = open();
    const loss = { id: "loss", cause: "one" };
    await store.write(() => ({ put: [["losses", loss]] }), true);
    loss.cause = "other";
    expect(await store.read("losses")).toEqual([["loss", { id: "loss", cause: "one" }]]);
    store.close();
  });

  it("lets writers of one moment each see what the last one left", async () => {
    const store = open();
    await store.write(() => ({ meta: META }), true);
    const raise = () =>
      store.write((meta) => ({ meta: { ...META, lastSeq: (meta?.lastSeq ?? 0) + 1 } }), true);
    await Promise.all(Array.from({ length: 10 }, raise));
    let last = 0;
    await store.write((meta) => {
      last = meta?.lastSeq ?? 0;
      return undefined;
    }, true);
    expect(last).toBe(10);
    store.close();
  });
});

describe("a damaged IndexedDB", () => {
  /** Reading several at once fails, and so does reading one of the numbers `unreadable`. */
  function damage(unreadable: number[], vanished: number[]): () => void {
    const { getAll, get } = IDBObjectStore.prototype;
    const failing = (store: IDBObjectStore): IDBRequest => {
      const { transaction } = store;
      // As a backend does: the request fails and takes its transaction with it.
      const request = get.call(store, ["progressQueue", -1]);
      request.addEventListener("success", () => transaction.abort());
      return request;
    };
    IDBObjectStore.prototype.getAll = function (this: IDBObjectStore, ...args: []) {
      return this.name === "entries" ? failing(this) : getAll.apply(this, args);
    } as typeof getAll;
    IDBObjectStore.prototype.get = function (this: IDBObjectStore, key: IDBValidKey) {
      const seq = Array.isArray(key) ? Number(key[1]) : 0;
      if (unreadable.includes(seq)) return failing(this);
      return get.call(this, vanished.includes(seq) ? ["progressQueue", -1] : key);
    } as typeof get;
    return () => Object.assign(IDBObjectStore.prototype, { getAll, get });
  }

  it("gives all that can still be read, record by record", async () => {
    const factory = new IDBFactory();
    const store = openIndexedDb(() => factory, "test");
    await put(store, entry(1), entry(2), entry(3), entry(4));
    const mend = damage([2], [3]);
    try {
      const found = await store.read("entries", "progressQueue");
      expect(found).toEqual([
        [["progressQueue", 1], entry(1)],
        [["progressQueue", 2], undefined],
        [["progressQueue", 3], undefined],
        [["progressQueue", 4], entry(4)],
      ]);
    } finally {
      mend();
      store.close();
    }
  });

  it("calls no record lost when the whole database is out", async () => {
    const factory = new IDBFactory();
    const store = openIndexedDb(() => factory, "test");
    await put(store, entry(1));
    const { transaction } = IDBDatabase.prototype;
    IDBDatabase.prototype.transaction = () => {
      throw new DOMException("The backing store is gone.", "UnknownError");
    };
    try {
      await expect(store.read("entries", "progressQueue")).rejects.toThrow("backing store");
    } finally {
      IDBDatabase.prototype.transaction = transaction;
    }
    expect(await store.numbers()).toEqual([1]);
    store.close();
  });
});
