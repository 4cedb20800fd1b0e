import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nameOf } from "./name";
import type { Parts } from "./parts";
import type { Outbox } from "./port";
import { ADA, completed, FakeLocks, networkDown, newDevice, problem } from "./rig";

const NAME = nameOf(ADA);
let { clock, server, disk, open, end } = newDevice();
beforeEach(() => {
  ({ clock, server, disk, open, end } = newDevice());
});
afterEach(() => end());

describe("damage", () => {
  it("moves an entry whose checksum fails aside, with what is left of it, and sends its neighbours", async () => {
    server.behaviour = networkDown;
    const outbox = await open();
    const one = await outbox.add(completed("one"));
    const two = await outbox.add(completed("two"));
    const bad = { ...one, payload: one.payload.replace("one", "oxe") };
    await disk.within(NAME, "entries", (shelf) => shelf.put(bad, ["progressQueue", 1]));
    server.behaviour = () => undefined;
    outbox.sendNow();
    await clock.pass(500);
    expect([...server.applied.keys()]).toEqual([two.id]);
    const [item] = await outbox.undeliverable();
    expect(item).toMatchObject({ id: one.id, code: "damaged", entry: { payload: bad.payload } });
    // It can't be sent again, and is not lost sight of for that.
    expect(await outbox.tryAgain(one.id)).toBe(false);
    expect(await outbox.undeliverable()).toEqual([item]);
    // Known to be damaged, it is no unexplained loss.
    expect(await outbox.losses()).toEqual([]);
  });

  it("does the same with a record that is no entry at all", async () => {
    server.behaviour = networkDown;
    const outbox = await open();
    await outbox.add(completed("one"));
    await disk.within(NAME, "entries", (shelf) => shelf.put(7, ["progressQueue", 1]));
    expect(await outbox.waiting()).toEqual([]);
    expect(await outbox.undeliverable()).toMatchObject([{ code: "damaged", entry: { seq: 1 } }]);
  });
});

describe("a loss", () => {
  const reported = () => server.lossReports.map(({ missing }) => missing);
  const untilFound = (outbox: Outbox) => clock.until(async () => (await outbox.losses()).length > 0);
  const untilTold = (outbox: Outbox) =>
    clock.until(async () => (await outbox.losses()).some(({ told }) => told));

  it("is found when entries vanish from the database, and is told to the person and the server", async () => {
    server.behaviour = networkDown;
    const outbox = await open();
    for (const lesson of ["one", "two", "three"]) await outbox.add(completed(lesson));
    await disk.within(NAME, "entries", (shelf) => shelf.delete(["progressQueue", 2]));
    server.behaviour = () => undefined;
    outbox.sendNow();
    await clock.pass(2_000);
    await untilTold(outbox);
    expect(await outbox.losses()).toMatchObject([{ generation: 1, missing: [[2, 2]], told: true }]);
    expect(reported()).toEqual([[[2, 2]]]);
    expect(outbox.status.losses).toBe(1);
  });

  it("is found when the last entries vanish, by no gap but by the highest number", async () => {
    server.behaviour = networkDown;
    const first = await open();
    for (const lesson of ["one", "two", "three"]) await first.add(completed(lesson));
    await first.close();
    await disk.within(NAME, "entries", (shelf) => shelf.delete(IDBKeyRange.lowerBound(["progressQueue", 2])));
    server.behaviour = () => undefined;
    const second = await open();
    await clock.pass(20_000);
    await untilFound(second);
    expect(await second.losses()).toMatchObject([{ missing: [[2, 3]] }]);
  });

  it("is found when the whole database is gone: a new generation begins, the old one's rest is reported", async () => {
    const first = await open();
    await first.add(completed("one"));
    await clock.pass(500);
    server.behaviour = networkDown;
    await first.add(completed("two"));
    await first.add(completed("three"));
    await first.close();
    await disk.delete(NAME);
    server.behaviour = () => undefined;
    const second = await open();
    const { seq, generation } = await second.add(completed("four"));
    expect([seq, generation]).toEqual([1, 2]);
    await clock.pass(2_000);
    await untilTold(second);
    expect(await second.losses()).toMatchObject([{ generation: 1, missing: [[2, 3]], told: true }]);
    await clock.pass(60_000);
    expect(reported()).toEqual([[[2, 3]]]);
    expect(server.applied.size).toBe(2);
  });

  it("is found when the database is deleted under a live page, which goes on in a new generation", async () => {
    server.behaviour = networkDown;
    const outbox = await open({ mirror: undefined });
    await outbox.add(completed("one"));
    await disk.delete(NAME);
    const { seq, generation } = await outbox.add(completed("two"));
    expect([seq, generation]).toEqual([1, 2]);
    server.behaviour = () => undefined;
    outbox.sendNow();
    await clock.pass(20_000);
    await untilFound(outbox);
    expect(await outbox.losses()).toMatchObject([{ generation: 1, missing: [[1, 1]] }]);
  });

  it("is found also by a page that had looked before and found nothing", async () => {
    const outbox = await open();
    await outbox.add(completed("one"));
    await clock.pass(2_000);
    server.behaviour = networkDown;
    await outbox.add(completed("two"));
    await disk.delete(NAME);
    await outbox.add(completed("three"));
    server.behaviour = () => undefined;
    outbox.sendNow();
    await clock.pass(2_000);
    await untilTold(outbox);
    expect(await outbox.losses()).toMatchObject([{ generation: 1, missing: [[2, 2]], told: true }]);
  });

  it("is found also when the database goes while the server is asked what it misses", async () => {
    const outbox = await open();
    let gone = false;
    server.behaviour = async ({ body }) => {
      if (!body.events || gone) return undefined;
      if (body.events.length > 0) return networkDown();
      gone = true;
      await disk.delete(NAME);
      await outbox.add(completed("two"));
      return undefined;
    };
    await outbox.add(completed("one"));
    outbox.sendNow();
    await clock.until(async () => gone);
    outbox.sendNow();
    await untilTold(outbox);
    expect(await outbox.losses()).toMatchObject([{ generation: 1, missing: [[1, 1]], told: true }]);
  });

  it("is found also when nothing is added after it", async () => {
    const outbox = await open({ locks: new FakeLocks() as unknown as LockManager });
    await outbox.add(completed("one"));
    await clock.pass(2_000);
    server.behaviour = networkDown;
    await outbox.add(completed("two"));
    await disk.delete(NAME);
    server.behaviour = () => undefined;
    await clock.pass(30_000);
    expect(await outbox.losses()).toMatchObject([{ generation: 1, missing: [[2, 2]], told: true }]);
  });

  it("counts what one tab saw last, though another that had seen less began the database anew", async () => {
    const [one, other] = [await open({ mirror: undefined }), await open({ mirror: undefined })];
    await other.add(completed("one"));
    await clock.pass(2_000);
    server.behaviour = networkDown;
    await one.add(completed("two"));
    await one.add(completed("three"));
    await disk.delete(NAME);
    await other.add(completed("four"));
    await one.add(completed("five"));
    server.behaviour = () => undefined;
    one.sendNow();
    other.sendNow();
    await clock.pass(60_000);
    expect((await one.losses()).map(({ missing }) => missing)).toEqual([[[2, 3]]]);
  });

  describe("after a database went, of what one tab had discarded unseen by another", () => {
    /** Numbers 2 to 4 ended here, as `one` knows and `other`, which saw them given out, does not. */
    async function endedBehindABack(parts: Partial<Parts> = {}): Promise<[Outbox, Outbox]> {
      const [one, other] = [await open(parts), await open(parts)];
      await one.add(completed("one"));
      await clock.pass(2_000);
      server.behaviour = networkDown;
      await one.add(completed("two"));
      await one.add(completed("three"));
      await other.add(completed("four"));
      await one.discardAll();
      await disk.delete(NAME);
      return [one, other];
    }
    async function reportedAfter(first: Outbox, second: Outbox) {
      await first.add(completed("five"));
      server.behaviour = () => undefined;
      first.sendNow();
      await clock.pass(20_000);
      await second.add(completed("six"));
      second.sendNow();
      await clock.pass(60_000);
      expect(server.applied.size).toBe(3);
      return reported();
    }

    it.each([{}, { mirror: undefined }])("is none when the tab that knows begins anew: %o", async (parts) => {
      const [one, other] = await endedBehindABack(parts);
      expect(await reportedAfter(one, other)).toEqual([]);
    });

    it("is none when the other begins anew, for localStorage knows", async () => {
      const [one, other] = await endedBehindABack();
      expect(await reportedAfter(other, one)).toEqual([]);
    });
  });

  it("is found when the database came back older, whose numbers are given to nothing else", async () => {
    server.behaviour = networkDown;
    const first = await open();
    await first.add(completed("one"));
    const [older] = await disk.records(NAME, "meta");
    await first.add(completed("two"));
    await first.close();
    await disk.within(NAME, "meta", (shelf) => shelf.put(older, 0));
    await disk.within(NAME, "entries", (shelf) => shelf.delete(["progressQueue", 2]));
    server.behaviour = () => undefined;
    const second = await open();
    expect(await second.add(completed("three"))).toMatchObject({ seq: 3, generation: 1 });
    await clock.pass(20_000);
    await untilFound(second);
    expect(await second.losses()).toMatchObject([{ missing: [[2, 2]] }]);
  });

  it("is none where entries wait, were discarded, are undeliverable, or were known to the server already", async () => {
    server.behaviour = ({ path, body }) =>
      path.endsWith("/batch") && body.events.some(({ seq }: { seq: number }) => seq === 1)
        ? problem(422, "invalid")
        : undefined;
    const outbox = await open();
    await outbox.add(completed("bad"));
    await clock.pass(500);
    server.behaviour = networkDown;
    await outbox.add(completed("discarded"));
    await outbox.discardAll();
    const id = "018f0000-0000-7000-8000-00000000000a";
    server.applied.set(id, {});
    await outbox.add({ ...completed("known"), id });
    await outbox.add(completed("good"));
    server.behaviour = () => undefined;
    outbox.sendNow();
    await clock.pass(2_000);
    // As after a restart of the server, which counts what it has in its journal, and duplicates are not.
    const [device] = [...server.counted.values()];
    device?.delete(3);
    await outbox.add(completed("last"));
    await clock.pass(60_000);
    expect(outbox.status).toMatchObject({ backlog: 0, undeliverable: 1, losses: 0 });
    expect(reported()).toEqual([]);
  });

  it("is what was undeliverable in a database that is gone, but for what its person had put away", async () => {
    server.behaviour = ({ path, body }) =>
      path.endsWith("/batch") && body.events.length > 0 ? problem(422, "invalid") : undefined;
    const outbox = await open();
    for (const lesson of ["one", "two", "three"]) await outbox.add(completed(lesson));
    await clock.until(async () => outbox.status.undeliverable === 3);
    const seen = (await outbox.undeliverable()).find(({ entry }) => entry.seq === 2);
    await outbox.putAway(seen?.id ?? "");
    await clock.pass(60_000);
    expect(await outbox.losses()).toEqual([]);
    server.behaviour = () => undefined;
    await disk.delete(NAME);
    await outbox.add(completed("four"));
    await untilTold(outbox);
    expect(reported()).toEqual([
      [
        [1, 1],
        [3, 3],
      ],
    ]);
  });

  it("is reported later when the server can't be told now", async () => {
    server.behaviour = networkDown;
    const outbox = await open();
    for (const lesson of ["one", "two", "three"]) await outbox.add(completed(lesson));
    await disk.within(NAME, "entries", (shelf) => shelf.delete(["progressQueue", 2]));
    server.behaviour = ({ path }) => (path.endsWith("/loss") ? problem(503, "busy") : undefined);
    outbox.sendNow();
    await clock.pass(2_000);
    await untilFound(outbox);
    expect(await outbox.losses()).toMatchObject([{ told: false }]);
    server.behaviour = () => undefined;
    await outbox.add(completed("four"));
    await clock.pass(5_000);
    await untilTold(outbox);
    expect(await outbox.losses()).toMatchObject([{ told: true }]);
    expect(reported()).toHaveLength(1);
  });
});
