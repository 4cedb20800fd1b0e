import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openMemory } from "./memory";
import type { News, NotKept } from "./port";
import { assigned, completed, networkDown, newDevice, problem } from "./rig";

const used = { kind: "analytics.recorded", payload: "{}" };

let { clock, server, disk, mirror, open, end } = newDevice();
beforeEach(() => {
  ({ clock, server, disk, mirror, open, end } = newDevice());
});
afterEach(() => end());
const refusalOf = (adding: Promise<unknown>): Promise<NotKept> =>
  adding.then(
    () => Promise.reject(new Error("it was kept")),
    (error) => error,
  );
const journalled = () => [...mirror.texts.keys()].filter((key) => key.includes(".aside."));

describe.each(["dead", "full"] as const)("an outbox whose storage is %s", (condition) => {
  it("calls nothing kept, says so, and sends straight to the server", async () => {
    const outbox = await open();
    await clock.pass(10);
    disk.condition = condition;
    const refusal = await refusalOf(outbox.add(completed("one")));
    expect(refusal.name).toBe("NotKept");
    await clock.pass(10);
    expect(await refusal.sentDirectly).toBe(true);
    expect(outbox.status.storage).toBe("unsafe");
    expect(server.applied.size).toBe(1);
    expect(journalled()).toEqual([]);
  });

  it("puts an event into the emergency journal while the network is down too, and says it is not sent", async () => {
    const outbox = await open();
    await clock.pass(10);
    disk.condition = condition;
    server.behaviour = networkDown;
    const refusal = await refusalOf(outbox.add(completed("one")));
    await clock.pass(10);
    expect(await refusal.sentDirectly).toBe(false);
    expect(journalled()).toHaveLength(1);
    server.behaviour = () => undefined;
    outbox.sendNow();
    await clock.pass(2_000);
    expect(server.applied.size).toBe(1);
    expect(journalled()).toEqual([]);
  });

  it("moves what was set aside into the database when that is well again", async () => {
    const outbox = await open();
    await clock.pass(10);
    disk.condition = condition;
    server.behaviour = networkDown;
    await refusalOf(outbox.add({ ...completed("one"), id: "018f0000-0000-7000-8000-00000000000A" }));
    const heard: News[] = [];
    outbox.subscribe((news) => void heard.push(news));
    disk.condition = "well";
    await clock.pass(5_000);
    expect(outbox.status.storage).toBe("safe");
    const [entry] = await outbox.waiting();
    expect(entry).toMatchObject({ id: "018f0000-0000-7000-8000-00000000000a", seq: 1 });
    expect(journalled()).toEqual([]);
    expect(heard.filter(({ type }) => type === "added")).toHaveLength(1);
  });

  it("asks its storage ever less often", async () => {
    const outbox = await open();
    await clock.pass(10);
    disk.condition = condition;
    server.behaviour = networkDown;
    for (let count = 0; count < 20; count += 1) await refusalOf(outbox.add(completed("one")));
    const before = disk.opens;
    await clock.pass(600_000);
    expect(disk.opens - before).toBeLessThan(300);
  });

  it("keeps an event that is offered again, once it can, and only once", async () => {
    const outbox = await open();
    await clock.pass(10);
    disk.condition = condition;
    server.behaviour = networkDown;
    const draft = { ...completed("one"), id: "018f0000-0000-7000-8000-00000000000a" };
    await refusalOf(outbox.add(draft));
    await refusalOf(outbox.add(draft));
    expect(journalled()).toHaveLength(1);
    disk.condition = "well";
    expect(await outbox.add(draft)).toMatchObject({ id: draft.id, seq: 1 });
    expect(await outbox.add(draft)).toMatchObject({ id: draft.id, seq: 1 });
    expect(await outbox.waiting()).toHaveLength(1);
  });

  it("sends the next page's events too, and what this one left in the journal", async () => {
    const first = await open();
    await clock.pass(10);
    disk.condition = condition;
    server.behaviour = networkDown;
    await refusalOf(first.add(completed("one")));
    await first.close();
    if (condition === "full") disk.condition = "well";
    const second = await open();
    server.behaviour = () => undefined;
    await clock.pass(5_000);
    expect(server.applied.size).toBe(1);
    expect(second.status.storage).toBe(condition === "full" ? "safe" : "unsafe");
  });

  it("lets one bad event set aside hold up none of its neighbours", async () => {
    const outbox = await open();
    await clock.pass(10);
    disk.condition = condition;
    server.behaviour = ({ body, path }) =>
      path.endsWith("/batch") &&
      body.events.some(({ body: { lessonId } }: { body: { lessonId: string } }) => lessonId === "bad")
        ? problem(422, "invalid")
        : undefined;
    const bad = await refusalOf(outbox.add(completed("bad")));
    const good = await refusalOf(outbox.add(completed("good")));
    await clock.pass(5_000);
    expect(await bad.sentDirectly).toBe(false);
    expect(await good.sentDirectly).toBe(true);
    disk.condition = "well";
    await clock.until(async () => (await outbox.undeliverable()).length === 1);
    expect(await outbox.undeliverable()).toMatchObject([{ code: "invalid" }]);
    expect(server.applied.size).toBe(1);
  });

  it("sends again what was refused while it was set aside, once its person asks: under its id, with a number", async () => {
    const outbox = await open();
    await clock.pass(10);
    disk.condition = condition;
    server.behaviour = ({ path }) => (path.endsWith("/batch") ? problem(422, "invalid") : undefined);
    const id = "018f0000-0000-7000-8000-00000000000a";
    await refusalOf(outbox.add({ ...completed("one"), id }));
    await clock.pass(5_000);
    disk.condition = "well";
    await clock.until(async () => (await outbox.undeliverable()).length === 1);
    server.behaviour = () => undefined;
    expect(await outbox.tryAgain(id)).toBe(true);
    expect(await outbox.undeliverable()).toEqual([]);
    await clock.until(() => server.applied.has(id));
    expect(server.applied.get(id)).toMatchObject({ id, seq: 1 });
    expect(await outbox.add(completed("two"))).toMatchObject({ seq: 2 });
    await clock.pass(60_000);
    expect(await outbox.losses()).toEqual([]);
  });
});

describe("an outbox on a full disk", () => {
  it("still lets go of what the server has, which frees the disk", async () => {
    server.behaviour = networkDown;
    const outbox = await open();
    await outbox.add(completed("one"));
    disk.condition = "full";
    server.behaviour = () => undefined;
    outbox.sendNow();
    await clock.pass(2_000);
    expect(server.applied.size).toBe(1);
    expect(await outbox.waiting()).toEqual([]);
  });
});

describe("what its person throws away", () => {
  it.each([1, 2, 3])("goes as a whole or not at all: write %i fails", async (failing) => {
    const store = openMemory();
    const outbox = await open({ engine: () => store });
    server.behaviour = networkDown;
    for (const draft of [completed("one"), assigned("ben"), used]) await outbox.add(draft);
    const write = store.write.bind(store);
    let writes = 0;
    store.write = async (...change) => {
      writes += 1;
      if (writes === failing) throw new DOMException("", "UnknownError");
      return write(...change);
    };
    const gone = await outbox.discardAll().catch(() => 0);
    expect(gone + (await outbox.waiting()).length).toBe(3);
    expect([0, 3]).toContain(gone);
  });

  it("is not what was set aside either, where the storage does not answer", async () => {
    const outbox = await open();
    await clock.pass(10);
    server.behaviour = networkDown;
    disk.condition = "dead";
    await refusalOf(outbox.add(completed("one")));
    await expect(outbox.discardAll()).rejects.toThrow();
    expect(journalled()).toHaveLength(1);
    disk.condition = "well";
    await clock.until(async () => outbox.status.storage === "safe");
    expect(await outbox.waiting()).toHaveLength(1);
  });
});

describe("an outbox without any storage", () => {
  it("opens, works, and is unsafe", async () => {
    const outbox = await open({
      indexedDB: {
        open() {
          throw new DOMException("forbidden", "SecurityError");
        },
      } as unknown as IDBFactory,
      mirror: undefined,
    });
    expect(outbox.status).toMatchObject({ storage: "unsafe", backlog: 0 });
    const refusal = await refusalOf(outbox.add(completed("one")));
    await clock.pass(10);
    expect(await refusal.sentDirectly).toBe(true);
  });

  it("goes on when localStorage is full as well", async () => {
    const outbox = await open();
    mirror.fails = true;
    const kept = await outbox.add(completed("one"));
    disk.condition = "dead";
    const refusal = await refusalOf(outbox.add(completed("two")));
    await clock.pass(2_000);
    expect(await refusal.sentDirectly).toBe(true);
    expect(server.applied.has(kept.id)).toBe(false);
    disk.condition = "well";
    await clock.until(() => server.applied.has(kept.id));
  });
});
