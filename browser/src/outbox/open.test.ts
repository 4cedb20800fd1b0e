import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, expect, it } from "vitest";
import type { News } from "./port";
import {
  ADA,
  assigned,
  completed,
  FakeServer,
  ManualClock,
  networkDown,
  open as openWith,
  problem,
  progressed,
} from "./rig";

describe.each(["memory", "IndexedDB"])("an outbox in %s", (engine) => {
  let clock: ManualClock;
  beforeEach(() => {
    clock = new ManualClock();
  });
  const pass = (ms: number) => clock.pass(ms);
  const open = (server: FakeServer) =>
    openWith(server, { clock, indexedDB: engine === "memory" ? undefined : new IDBFactory() });

  it("sends what is added and lets it go when a receipt names it", async () => {
    const server = new FakeServer();
    const outbox = await open(server);
    const heard: News[] = [];
    outbox.subscribe((news) => void heard.push(news));
    const entry = await outbox.add(completed("one"));
    expect(entry.seq).toBe(1);
    await pass(200);
    expect([...server.applied.keys()]).toEqual([entry.id]);
    expect(await outbox.waiting()).toEqual([]);
    expect(heard.map(({ type }) => type)).toContain("drained");
    expect(outbox.status.backlog).toBe(0);
    await outbox.close();
  });

  it("keeps an entry through a network that is down, and sends it by itself when it is back", async () => {
    const server = new FakeServer();
    server.behaviour = networkDown;
    const outbox = await open(server);
    const { id } = await outbox.add(completed("one"));
    await pass(5_000);
    expect((await outbox.waiting()).map((entry) => entry.id)).toEqual([id]);
    expect(outbox.status.lanes.progressQueue.state.name).toBe("waiting");
    server.behaviour = () => undefined;
    await pass(60_000);
    expect([...server.applied.keys()]).toEqual([id]);
    await outbox.close();
  });

  it("calls an event as old as whoever adds it, and else as old as its entry", async () => {
    const server = new FakeServer();
    server.behaviour = networkDown;
    const outbox = await open(server);
    const createdAt = "2026-11-22T07:30:00.000Z";
    await outbox.add({ ...completed("one"), createdAt });
    await outbox.add(completed("two"));
    expect((await outbox.waiting()).map((entry) => entry.createdAt)).toEqual([
      createdAt,
      "2026-11-23T08:00:00.000Z",
    ]);
    server.behaviour = () => undefined;
    await pass(60_000);
    const [first] = server.batches.at(-1)?.body.events ?? [];
    expect(first.occurredAt).toBe(createdAt);
    await outbox.close();
  });

  it("gathers progress for a second, but sends a completion at once", async () => {
    const server = new FakeServer();
    const outbox = await open(server);
    await pass(0);
    await outbox.add(progressed(10));
    await pass(900);
    expect(server.batches).toHaveLength(0);
    await outbox.add(progressed(20));
    await pass(200);
    expect(server.batches.map(({ body }) => body.events.length)).toEqual([2]);
    await outbox.close();
  });

  it("sends an assignment by its own route and tells the server's answer", async () => {
    const server = new FakeServer();
    const outbox = await open(server);
    const { id, assignedBy } = await outbox.add(assigned("ben", "cyn"));
    expect(assignedBy).toBe(ADA.userId);
    await pass(100);
    const [sent] = server.requests.filter(({ path }) => path.endsWith("/assign"));
    expect(sent?.path).toBe("/api/admin/courses/course/assign");
    expect(sent?.body).toMatchObject({ id, orgId: "tidewater", userIds: ["ben", "cyn"], seq: 1 });
    expect(await outbox.answers()).toMatchObject([{ id, answer: { assigned: 2, already: 0, refused: [] } }]);
    await outbox.close();
  });

  it("moves an entry the server refuses aside, where its person finds it and may send it again", async () => {
    const server = new FakeServer();
    server.behaviour = ({ path }) => (path.endsWith("/batch") ? problem(422, "invalid") : undefined);
    const outbox = await open(server);
    const { id } = await outbox.add(completed("one"));
    await pass(200);
    expect(await outbox.undeliverable()).toMatchObject([
      { id, code: "invalid", reason: "Refused: invalid." },
    ]);
    expect(outbox.status).toMatchObject({ backlog: 0, undeliverable: 1 });
    server.behaviour = () => undefined;
    expect(await outbox.tryAgain(id)).toBe(true);
    expect(await outbox.tryAgain(id)).toBe(false);
    await pass(200);
    expect([...server.applied.keys()]).toEqual([id]);
    await outbox.close();
  });
});
