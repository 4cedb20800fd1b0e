import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { crc32 } from "../core/crc32";
import type { Parts } from "./parts";
import type { News, Outbox } from "./port";
import {
  ADA,
  completed,
  FakeServer,
  json,
  ManualClock,
  networkDown,
  open as openWith,
  problem,
  progressed,
  type Request,
} from "./rig";

let clock: ManualClock;
let server: FakeServer;
let outbox: Outbox;
let heard: News[];
const none: Outbox[] = [];

beforeEach(() => {
  clock = new ManualClock();
  server = new FakeServer();
  heard = [];
});
afterEach(async () => {
  for (const one of none.splice(0)) await one.close();
});

async function open(parts: Partial<Parts> = {}): Promise<Outbox> {
  outbox = await openWith(server, { clock, ...parts });
  none.push(outbox);
  outbox.subscribe((news) => void heard.push(news));
  await clock.pass(0);
  return outbox;
}
const isBatch = ({ path, body }: Request) => path.endsWith("/batch") && body.events.length > 0;
/** Entries are refused, answered or lost; everything else is answered as ever. */
const forBatches = (answer: (request: Request) => Response | Promise<Response> | undefined) => {
  server.behaviour = (request) => (isBatch(request) ? answer(request) : undefined);
};
const receipts = (request: Request, status: string, more: object = {}) =>
  json({
    receipts: request.body.events.map(({ id }: { id: string }) => ({ id, status, ...more })),
    device: null,
    slowDownMs: 0,
  });
const laneState = () => outbox.status.lanes.progressQueue.state;
const sizes = () => server.batches.map(({ body }) => body.events.length);

describe("what is sent", () => {
  it("carries its org, its number, and a checksum over its body's exact bytes", async () => {
    await open();
    const payload = '{"courseId":"course", "lessonId":"spaced  ünusually"}';
    const { id } = await outbox.add({ kind: "lesson.completed", payload });
    await clock.pass(10);
    const [sent] = server.batches;
    expect(sent?.text).toContain(`"body":${payload}`);
    expect(sent?.body.events[0]).toMatchObject({ id, seq: 1, orgId: ADA.orgId, checksum: crc32(payload) });
    expect(sent?.headers.get("X-CSRF-Token")).toBe("token");
    expect(sent?.headers.get("X-Org-Id")).toBe(ADA.orgId);
  });

  it("tells how much waits on the device, and for how long the oldest has", async () => {
    server.behaviour = networkDown;
    await open();
    for (let count = 0; count < 60; count += 1) await outbox.add(progressed(count));
    await clock.pass(30_000);
    server.behaviour = () => undefined;
    outbox.sendNow();
    await clock.pass(500);
    const first = server.batches.at(-2);
    expect(first?.headers.get("X-Client-Queue-Backlog")).toBe("60");
    expect(Number(first?.headers.get("X-Client-Queue-Lag"))).toBeGreaterThanOrEqual(30_000);
  });

  it("is at most 50 entries or 48 KB a request", async () => {
    server.behaviour = networkDown;
    await open();
    for (let count = 0; count < 120; count += 1) await outbox.add(progressed(count));
    const large = JSON.stringify({ filler: "é".repeat(8_000) });
    for (let count = 0; count < 6; count += 1)
      await outbox.add({ kind: "lesson.progressed", payload: large });
    server.requests.length = 0;
    server.behaviour = () => undefined;
    outbox.sendNow();
    await clock.pass(2_000);
    expect(server.applied.size).toBe(126);
    expect(Math.max(...sizes())).toBe(50);
    for (const { text } of server.batches) expect(new TextEncoder().encode(text).length).toBeLessThan(49_000);
  });

  it("goes lane by lane: figures that can't be sent hold up no work", async () => {
    server.behaviour = ({ path }) =>
      path.startsWith("/api/analytics") ? problem(429, "slow_down") : undefined;
    await open();
    await outbox.add({ kind: "analytics.recorded", payload: "{}" });
    const { id } = await outbox.add(completed("one"));
    await clock.pass(2_000);
    expect([...server.applied.keys()]).toEqual([id]);
    expect(outbox.status.lanes.analyticsQueue).toMatchObject({ waiting: 1, state: { name: "waiting" } });
  });

  it("never holds a payload that is too large or no JSON", async () => {
    await open();
    const payload = JSON.stringify({ filler: "é".repeat(17_000) });
    await expect(outbox.add({ kind: "lesson.progressed", payload })).rejects.toThrow(RangeError);
    await expect(outbox.add({ kind: "lesson.progressed", payload: "{," })).rejects.toThrow(SyntaxError);
    expect(outbox.status.storage).toBe("safe");
  });
});

describe("an entry without a receipt", () => {
  it.each([
    ["a captive portal's page", () => new Response("<html>Welcome</html>", { status: 200 })],
    ["somebody else's JSON", () => json({ ok: true }, 200)],
    ["a server that is down", () => problem(503, "unavailable")],
    ["a proxy's own 403", () => new Response("no", { status: 403 })],
    ["a proxy's own 404", () => new Response("no", { status: 404 })],
    ["the server's 404", () => problem(404, "not_found")],
    ["receipts for others", () => json({ receipts: [{ id: "other", status: "accepted" }], slowDownMs: 0 })],
    ["receipts that can't be read", () => json({ receipts: [{ id: 7 }, null], slowDownMs: 0 })],
    ["an answer cut short", () => new Response('{"receipts": [', { status: 202 })],
  ])("stays after %s, and is sent again under the same id", async (_, answer) => {
    forBatches(answer);
    await open();
    const { id } = await outbox.add(completed("one"));
    await clock.pass(5_000);
    expect((await outbox.waiting()).map((entry) => entry.id)).toEqual([id]);
    expect(sizes().length).toBeGreaterThan(1);
    server.behaviour = () => undefined;
    await clock.pass(5_000);
    expect([...server.applied.keys()]).toEqual([id]);
    expect(await outbox.undeliverable()).toEqual([]);
  });

  it("is applied once when the answer was lost after the server had it", async () => {
    let lost = 2;
    forBatches(async (request) => {
      if (lost-- <= 0) return server.answer(request);
      server.answer(request);
      return networkDown();
    });
    await open();
    const { id } = await outbox.add(completed("one"));
    await clock.pass(5_000);
    expect(heard.filter(({ type }) => type === "settled")).toMatchObject([{ id, outcome: "duplicate" }]);
    expect(server.applied.size).toBe(1);
  });

  it("holds up none of its neighbours when only it got no receipt", async () => {
    await open();
    let skipped = "";
    forBatches((request) => {
      const events = request.body.events.filter(({ id }: { id: string }) => id !== skipped);
      return json({
        receipts: events.map((event: { id: string }) => server.take(event, "d", 1)),
        slowDownMs: 0,
      });
    });
    const drafts = Array.from({ length: 60 }, (_, at) => progressed(at));
    const first = await outbox.add(progressed(100));
    skipped = first.id;
    for (const draft of drafts) await outbox.add(draft);
    await clock.pass(3_000);
    expect(server.applied.size).toBe(60);
    expect((await outbox.waiting()).map(({ id }) => id)).toEqual([first.id]);
    skipped = "";
    await clock.pass(10_000);
    expect(outbox.status.backlog).toBe(0);
  });

  it("waits as long as its receipt says later", async () => {
    forBatches((request) => receipts(request, "later", { retryAfterS: 40, reason: "the disk is filling" }));
    await open();
    await outbox.add(completed("one"));
    await clock.pass(39_000);
    outbox.sendNow();
    await clock.pass(500);
    expect(sizes()).toEqual([1]);
    server.behaviour = () => undefined;
    await clock.pass(12_000);
    expect(server.applied.size).toBe(1);
  });
});

describe("a wait", () => {
  it.each([
    ["in seconds", "40"],
    ["as a date", new Date(Date.parse("2026-11-23T08:00:40Z")).toUTCString()],
  ])("that the server asks for %s is kept, however impatient the person is", async (_, retryAfter) => {
    forBatches(() => problem(429, "rate_limited", { "Retry-After": retryAfter }));
    await open();
    await outbox.add(completed("one"));
    await clock.pass(100);
    expect(laneState()).toMatchObject({ name: "waiting", asked: true, why: "Refused: rate_limited." });
    server.behaviour = () => undefined;
    outbox.sendNow();
    await clock.pass(38_000);
    expect(server.applied.size).toBe(0);
    await clock.pass(13_000);
    expect(server.applied.size).toBe(1);
  });

  it("of our own ends when the person asks", async () => {
    forBatches(networkDown);
    await open({ random: () => 1 });
    await outbox.add(completed("one"));
    await clock.pass(100);
    expect(laneState()).toMatchObject({ name: "waiting", asked: false });
    server.behaviour = () => undefined;
    outbox.sendNow();
    await clock.pass(10);
    expect(server.applied.size).toBe(1);
  });

  it("grows with every failure to five minutes and no further", async () => {
    forBatches(networkDown);
    await open({ random: () => 1 });
    await outbox.add(completed("one"));
    await clock.pass(3_600_000);
    // 2, 4, 8, … 256, 300 s and from then on 300 s.
    expect(sizes().length).toBeGreaterThan(12);
    expect(sizes().length).toBeLessThan(25);
  });

  it("follows a slower pace that the server asks for, entries or no entries", async () => {
    server.slowDownMs = 20_000;
    await open();
    await outbox.add(completed("one"));
    await clock.pass(100);
    await outbox.add(completed("two"));
    await clock.pass(15_000);
    expect(server.applied.size).toBe(1);
    await clock.pass(12_000);
    expect(server.applied.size).toBe(2);
  });

  it("to gather more grows with the server's answers, to eight seconds at most", async () => {
    server.behaviour = (request) =>
      isBatch(request)
        ? new Promise((resolve) => clock.after(5_000, () => resolve(server.answer(request))))
        : undefined;
    await open();
    await outbox.add(progressed(1));
    await clock.pass(1_000);
    await clock.pass(6_000);
    expect(server.applied.size).toBe(1);
    server.behaviour = () => undefined;
    await outbox.add(progressed(2));
    await clock.pass(7_500);
    expect(server.applied.size).toBe(1);
    await clock.pass(600);
    expect(server.applied.size).toBe(2);
  });

  it("needs no new entry to end: a lane is looked at by itself", async () => {
    await open();
    server.behaviour = networkDown;
    await outbox.add(completed("one"));
    await clock.pass(100);
    server.behaviour = () => undefined;
    await clock.pass(400_000);
    expect(server.applied.size).toBe(1);
  });
});
