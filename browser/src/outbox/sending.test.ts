import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { crc32 } from "../core/crc32";
import type { Parts } from "./parts";
import type { News, Outbox } from "./port";
import {
  ADA,
  assigned,
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

describe("what the server refuses", () => {
  it.each(["invalid", "forbidden", "conflict"])(
    "by a receipt that says %s is undeliverable",
    async (status) => {
      forBatches((request) => receipts(request, status, { code: "the_code", reason: "the reason" }));
      await open();
      const { id } = await outbox.add(completed("one"));
      await clock.pass(100);
      expect(await outbox.undeliverable()).toMatchObject([{ id, code: "the_code", reason: "the reason" }]);
      expect(outbox.status).toMatchObject({ backlog: 0, undeliverable: 1 });
    },
  );

  it.each([400, 422])("as a whole with %i is halved until the bad entry stands alone", async (status) => {
    const bad = new Set<string>();
    forBatches(({ body }) =>
      body.events.some(({ id }: { id: string }) => bad.has(id)) ? problem(status, "invalid") : undefined,
    );
    await open();
    const entries = await Promise.all(Array.from({ length: 49 }, (_, at) => outbox.add(progressed(at))));
    bad.add(entries[20]?.id ?? "").add(entries[21]?.id ?? "");
    await clock.pass(5_000);
    expect((await outbox.undeliverable()).map(({ id }) => id).sort()).toEqual([...bad].sort());
    expect(server.applied.size).toBe(47);
  });

  it("for its size is sent in smaller parts, and refused when it stands alone", async () => {
    forBatches(({ body }) => (body.events.length > 3 ? problem(413, "too_large") : undefined));
    await open();
    await Promise.all(Array.from({ length: 20 }, (_, at) => outbox.add(progressed(at))));
    await clock.pass(5_000);
    expect(server.applied.size).toBe(20);
    forBatches(() => problem(413, "too_large"));
    await outbox.add(completed("one"));
    await clock.pass(500);
    expect(await outbox.undeliverable()).toMatchObject([{ code: "too_large" }]);
  });

  it("for its size by a proxy's word alone stays", async () => {
    forBatches(() => new Response("too large", { status: 413 }));
    await open();
    await outbox.add(completed("one"));
    await clock.pass(5_000);
    expect(outbox.status).toMatchObject({ backlog: 1, undeliverable: 0 });
  });

  it("can be put away, but what waits can't", async () => {
    forBatches(() => problem(422, "invalid"));
    await open();
    const { id } = await outbox.add(completed("one"));
    await clock.pass(100);
    await outbox.putAway(id);
    expect(await outbox.undeliverable()).toEqual([]);
    server.behaviour = networkDown;
    const waiting = await outbox.add(completed("two"));
    await outbox.putAway(waiting.id);
    expect((await outbox.waiting()).map((entry) => entry.id)).toEqual([waiting.id]);
  });
});

describe("a session", () => {
  it("that ends holds the entries, and the renewed one sends them", async () => {
    await open();
    server.cookie = undefined;
    await outbox.add(completed("one"));
    await clock.pass(500);
    expect(laneState()).toEqual({ name: "held", why: "signIn" });
    expect(outbox.status.backlog).toBe(1);
    server.cookie = ADA;
    server.csrfToken = "another";
    outbox.sendNow();
    await clock.pass(500);
    expect(server.applied.size).toBe(1);
  });

  it("that ends in the middle holds what is left", async () => {
    await open();
    await outbox.add(completed("one"));
    await clock.pass(100);
    server.cookie = undefined;
    await outbox.add(completed("two"));
    await clock.pass(100);
    expect(laneState()).toEqual({ name: "held", why: "signIn" });
    expect(server.applied.size).toBe(1);
  });

  it("of another person sends nothing, whether they came before or after the token", async () => {
    const cal = { orgId: ADA.orgId, userId: "cal" };
    server.cookie = cal;
    await open();
    await outbox.add(completed("one"));
    await clock.pass(500);
    expect(laneState()).toEqual({ name: "held", why: "anotherPerson" });
    expect(server.batches).toEqual([]);
    server.cookie = ADA;
    outbox.sendNow();
    await clock.pass(500);
    expect(server.applied.size).toBe(1);
    server.cookie = cal;
    server.csrfToken = "cal's";
    await outbox.add(completed("two"));
    await clock.pass(5_000);
    expect(laneState()).toEqual({ name: "held", why: "anotherPerson" });
    expect(server.applied.size).toBe(1);
  });

  it("that was renewed elsewhere is asked for anew when its token is refused", async () => {
    await open();
    await outbox.add(completed("one"));
    await clock.pass(100);
    server.csrfToken = "renewed";
    const { id } = await outbox.add(completed("two"));
    await clock.pass(3_000);
    expect(server.applied.has(id)).toBe(true);
    expect(await outbox.undeliverable()).toEqual([]);
  });

  it("that may not send parks its entries where they are seen, and tries again when asked", async () => {
    forBatches(() => problem(403, "forbidden"));
    await open();
    await outbox.add(completed("one"));
    await clock.pass(100);
    expect(laneState()).toEqual({ name: "held", why: "forbidden" });
    server.behaviour = () => undefined;
    outbox.sendNow();
    await clock.pass(100);
    expect(server.applied.size).toBe(1);
  });

  it("is asked for once, whatever is sent", async () => {
    await open();
    await outbox.add(completed("one"));
    await outbox.add({ kind: "analytics.recorded", payload: "{}" });
    await outbox.add(assigned("ben"));
    await clock.pass(10_000);
    expect(server.requests.filter(({ path }) => path === "/api/auth/session")).toHaveLength(1);
  });
});

describe("assignments", () => {
  const sentTo = () =>
    server.requests
      .filter(({ path }) => path.endsWith("assign"))
      .map(({ path, body }) => [path, body.userIds[0]]);

  it("go one by one in their order, whatever waits", async () => {
    let busy = true;
    server.behaviour = ({ path }) =>
      busy && path.endsWith("assign") ? problem(409, "backlog_over_limit") : undefined;
    await open();
    await outbox.add(assigned("ben", "cyn"));
    await outbox.add({ ...assigned("ben"), kind: "course.unassigned" });
    await clock.pass(1_500);
    expect(outbox.status.lanes.adminQueue).toMatchObject({
      waiting: 2,
      state: { name: "waiting", why: "Refused: backlog_over_limit." },
    });
    busy = false;
    const before = sentTo().length;
    await clock.pass(5_000);
    expect(sentTo().slice(before)).toEqual([
      ["/api/admin/courses/course/assign", "ben"],
      ["/api/admin/courses/course/unassign", "ben"],
    ]);
  });

  it.each([
    [404, "not_found"],
    [409, "conflict"],
    [422, "invalid"],
  ])("the server refuses for good with %i are undeliverable, the next go on", async (status, code) => {
    server.behaviour = ({ path, body }) =>
      path.endsWith("assign") && body.userIds[0] === "bad" ? problem(status, code) : undefined;
    await open();
    await outbox.add(assigned("bad"));
    const { id } = await outbox.add(assigned("ben"));
    await clock.pass(500);
    expect(await outbox.undeliverable()).toMatchObject([{ code }]);
    expect(server.applied.has(id)).toBe(true);
  });

  it("that were taken but not yet applied are settled by their receipt", async () => {
    server.behaviour = ({ path, body }) =>
      path.endsWith("assign") ? json({ receipt: { id: body.id, status: "accepted" } }) : undefined;
    await open();
    const { id } = await outbox.add(assigned("ben"));
    await clock.pass(500);
    expect(heard.filter(({ type }) => type === "answered")).toMatchObject([
      { id, answer: { receipt: { id, status: "accepted" } } },
    ]);
    expect(outbox.status.backlog).toBe(0);
  });

  it("stay when something that is no portal answers", async () => {
    server.behaviour = ({ path }) => (path.endsWith("assign") ? json({ welcome: true }, 200) : undefined);
    await open();
    await outbox.add(assigned("ben"));
    await clock.pass(5_000);
    expect(outbox.status.backlog).toBe(1);
  });
});
