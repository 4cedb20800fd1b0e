import { afterEach, beforeEach, describe, expect, it } from "vitest";
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

  const receipt = { status: "accepted", position: "1", durable: "fsync" };
  it.each([
    ["a receipt of another event", { receipt: { ...receipt, id: "01890a5d-ac96-774b-bcce-b302099a8057" } }],
    ["no receipt", { assigned: 1, already: 0, refused: [] }],
    ["a receipt that names nothing", { receipt, refused: [] }],
  ])("stay, and those behind them too, while the answer holds %s", async (_, told) => {
    let isMixedUp = true;
    server.behaviour = ({ path }) => (isMixedUp && path.endsWith("assign") ? json(told, 200) : undefined);
    await open();
    const first = await outbox.add(assigned("ben"));
    const next = await outbox.add(assigned("cyn"));
    await clock.pass(5_000);
    expect(outbox.status.lanes.adminQueue).toMatchObject({ waiting: 2, state: { name: "waiting" } });
    expect(new Set(sentTo().map(([, whom]) => whom))).toEqual(new Set(["ben"]));
    expect(heard.filter(({ type }) => type === "settled" || type === "answered")).toEqual([]);
    isMixedUp = false;
    await clock.pass(20_000);
    expect([...server.applied.keys()]).toEqual([first.id, next.id]);
    expect(outbox.status.backlog).toBe(0);
  });

  it("stay while their own receipt does not say that the server has them", async () => {
    server.behaviour = ({ path, body }) =>
      path.endsWith("assign") ? json({ receipt: { ...receipt, id: body.id, status: "later" } }) : undefined;
    await open();
    await outbox.add(assigned("ben"));
    await clock.pass(5_000);
    expect(outbox.status.lanes.adminQueue).toMatchObject({
      waiting: 1,
      state: { name: "waiting", why: "the answer did not name this event" },
    });
  });

  it("are settled by a receipt that writes their id in capitals", async () => {
    server.behaviour = ({ path, body }) =>
      path.endsWith("assign") ? json({ receipt: { ...receipt, id: body.id.toUpperCase() } }) : undefined;
    await open();
    await outbox.add(assigned("ben"));
    await clock.pass(500);
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
