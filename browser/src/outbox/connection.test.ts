import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Connection, connect, done } from "./connection";

const upgrade = (database: IDBDatabase) => void database.createObjectStore("shelf");
const write = (connection: Connection, value: string) =>
  connection.use((database) => {
    const transaction = database.transaction("shelf", "readwrite");
    transaction.objectStore("shelf").put(value, "key");
    return done(transaction);
  });
async function read(connection: Connection): Promise<unknown> {
  return connection.use(async (database) => {
    const transaction = database.transaction("shelf");
    const asked = transaction.objectStore("shelf").get("key");
    await done(transaction);
    return asked.result;
  });
}
/** A factory that counts its opens. */
function counted(): { factory: IDBFactory; opens: () => number } {
  const factory = new IDBFactory();
  const spy = vi.spyOn(factory, "open");
  return { factory, opens: () => spy.mock.calls.length };
}

afterEach(() => void vi.useRealTimers());

describe("a connection", () => {
  it("opens once for all who ask at the same moment", async () => {
    const { factory, opens } = counted();
    const connection = connect(() => factory, "test", 1, upgrade);
    await Promise.all([write(connection, "one"), write(connection, "two"), read(connection)]);
    expect(opens()).toBe(1);
    connection.close();
  });

  it("replaces a handle that died, once, and does the work then", async () => {
    const { factory, opens } = counted();
    const connection = connect(() => factory, "test", 1, upgrade);
    await write(connection, "one");
    // The browser closes it under us; `onclose` has not come yet.
    await connection.use(async (database) => database.close());
    expect(await read(connection)).toBe("one");
    expect(opens()).toBe(2);
    connection.close();
  });

  it.each(["InvalidStateError", "UnknownError", "AbortError"])(
    "gives up after one new handle when that fails with %s as well",
    async (name) => {
      const { factory, opens } = counted();
      const connection = connect(() => factory, "test", 1, upgrade);
      const work = vi.fn(() => Promise.reject(new DOMException("dead", name)));
      await expect(connection.use(work)).rejects.toThrow("dead");
      expect(work).toHaveBeenCalledTimes(2);
      expect(opens()).toBe(2);
      connection.close();
    },
  );

  it("keeps its handle when the work was wrong, or the disk is full", async () => {
    const { factory, opens } = counted();
    const connection = connect(() => factory, "test", 1, upgrade);
    const full = () => Promise.reject(new DOMException("full", "QuotaExceededError"));
    await expect(connection.use(full)).rejects.toThrow("full");
    await write(connection, "one");
    expect(opens()).toBe(1);
    connection.close();
  });

  it("stands in no other tab's way when that deletes or upgrades the database", async () => {
    const factory = new IDBFactory();
    const connection = connect(() => factory, "test", 1, upgrade);
    await write(connection, "one");
    await new Promise((resolve, reject) => {
      const asked = factory.deleteDatabase("test");
      asked.onsuccess = resolve;
      asked.onblocked = () => reject(new Error("blocked"));
    });
    expect(await read(connection)).toBeUndefined();
    connection.close();
  });

  it("works on a database that a newer build has upgraded", async () => {
    const factory = new IDBFactory();
    const newer = connect(() => factory, "test", 1, upgrade);
    await write(newer, "one");
    newer.close();
    const newest = connect(
      () => factory,
      "test",
      7,
      (database) => void database.createObjectStore("more"),
    );
    await newest.use(async () => {});
    newest.close();
    const older = connect(() => factory, "test", 1, upgrade);
    expect(await read(older)).toBe("one");
    older.close();
  });

  it("waits for no open that never answers, and asks anew the next time", async () => {
    vi.useFakeTimers();
    const real = new IDBFactory();
    const silent = { open: () => ({}) } as unknown as IDBFactory;
    let present = silent;
    const connection = connect(() => present, "test", 1, upgrade);
    const first = expect(connection.use(async () => {})).rejects.toThrow("in time");
    await vi.advanceTimersByTimeAsync(5_000);
    await first;
    present = real;
    vi.useRealTimers();
    await write(connection, "one");
    expect(await read(connection)).toBe("one");
    connection.close();
  });

  it("fails, and does not hang, where a browser forbids databases", async () => {
    const connection = connect(
      () => {
        throw new DOMException("forbidden", "SecurityError");
      },
      "test",
      1,
      upgrade,
    );
    await expect(connection.use(async () => {})).rejects.toThrow("forbidden");
    connection.close();
  });

  it("tells a transaction that was undone after its request had succeeded", async () => {
    const factory = new IDBFactory();
    const connection = connect(() => factory, "test", 1, upgrade);
    const work = connection.use((database) => {
      const transaction = database.transaction("shelf", "readwrite");
      const ended = done(transaction);
      transaction.objectStore("shelf").put("one", "key").onsuccess = () => transaction.abort();
      return ended;
    });
    await expect(work).rejects.toThrow("ended");
    expect(await read(connection)).toBeUndefined();
    connection.close();
  });
});
