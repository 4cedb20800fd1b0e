import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, expect, it } from "vitest";
import type { Parts } from "./parts";
import {
  completed,
  FakeMirror,
  FakePage,
  FakeServer,
  ManualClock,
  networkDown,
  open as openWith,
} from "./rig";

interface Sent {
  path: string;
  text: string;
  type: string;
}

let clock: ManualClock;
let server: FakeServer;
let mirror: FakeMirror;
let factory: IDBFactory;
let beacons: Sent[];
/** How much the browser lets through at a time. */
let budgetBytes: number;

beforeEach(() => {
  clock = new ManualClock();
  server = new FakeServer();
  mirror = new FakeMirror();
  factory = new IDBFactory();
  beacons = [];
  budgetBytes = 64 * 1024;
});

const open = (parts: Partial<Parts> = {}) =>
  openWith(server, {
    clock,
    mirror,
    indexedDB: factory,
    sendBeacon(path, body) {
      if (body.size > budgetBytes) return false;
      budgetBytes -= body.size;
      const sent = { path, text: "", type: body.type };
      beacons.push(sent);
      void body.text().then((text) => {
        sent.text = text;
      });
      return true;
    },
    ...parts,
  });
const events = (sent: Sent | undefined) => JSON.parse(sent?.text ?? "{}").events;

/** An outbox that knows its session, and can reach nobody any more. */
async function openAndLoseTheNetwork(parts: Partial<Parts> = {}) {
  const outbox = await open(parts);
  await outbox.add(completed("first"));
  await clock.pass(500);
  server.behaviour = networkDown;
  return outbox;
}

describe("a beacon", () => {
  it("carries what has no receipt, newest last, with the token in its body, and deletes nothing", async () => {
    const outbox = await openAndLoseTheNetwork();
    const one = await outbox.add(completed("one"));
    const two = await outbox.add(completed("two"));
    outbox.beacon();
    await clock.settle();
    expect(beacons).toHaveLength(1);
    expect(beacons[0]).toMatchObject({ path: "/api/client/progress/batch?outbox", type: "text/plain" });
    expect(JSON.parse(beacons[0]?.text ?? "")).toMatchObject({ csrfToken: "token", generation: 1 });
    expect(events(beacons[0]).map(({ id }: { id: string }) => id)).toEqual([one.id, two.id]);
    expect(await outbox.waiting()).toHaveLength(2);
    await outbox.close();
  });

  it("goes by itself as the page is hidden, and once for each entry", async () => {
    const page = new FakePage();
    const outbox = await openAndLoseTheNetwork({ page });
    await outbox.add(completed("one"));
    page.tell("hidden");
    page.tell("gone");
    outbox.beacon();
    await clock.settle();
    expect(beacons).toHaveLength(1);
    await outbox.close();
  });

  it("stays under 48 KB over all lanes, and prefers work and what is newest", async () => {
    const outbox = await openAndLoseTheNetwork();
    const filler = "x".repeat(10_000);
    await outbox.add({ kind: "analytics.recorded", payload: JSON.stringify({ filler }) });
    for (let at = 0; at < 6; at += 1) {
      await outbox.add({ kind: "lesson.progressed", payload: JSON.stringify({ at, filler }) });
    }
    outbox.beacon();
    await clock.settle();
    expect(beacons.map(({ path }) => path)).toEqual(["/api/client/progress/batch?outbox"]);
    expect(beacons[0]?.text.length).toBeLessThan(48_000);
    expect(events(beacons[0]).map(({ body }: { body: { at: number } }) => body.at)).toEqual([2, 3, 4, 5]);
    await outbox.close();
  });

  it("is halved, to the newest, until the browser takes it", async () => {
    const outbox = await openAndLoseTheNetwork();
    for (const lesson of ["one", "two", "three", "four"]) await outbox.add(completed(lesson));
    budgetBytes = 800;
    outbox.beacon();
    await clock.settle();
    expect(events(beacons[0]).map(({ body }: { body: { lessonId: string } }) => body.lessonId)).toEqual([
      "three",
      "four",
    ]);
    await outbox.close();
  });

  it("says nothing in nobody's name: without a token there is none", async () => {
    server.cookie = undefined;
    const outbox = await open();
    await outbox.add(completed("one"));
    await clock.pass(100);
    outbox.beacon();
    expect(beacons).toEqual([]);
    await outbox.close();
  });

  it("is asked about by the next page, which sends only what did not arrive", async () => {
    const first = await openAndLoseTheNetwork();
    const arrived = await first.add(completed("arrived"));
    const lost = await first.add(completed("lost"));
    first.beacon();
    await clock.settle();
    await first.close();
    const { deviceId, generation, events: all } = JSON.parse(beacons[0]?.text ?? "{}");
    server.take(all[0], deviceId, generation);
    server.behaviour = () => undefined;
    server.requests.length = 0;
    const second = await open();
    await clock.pass(1_000);
    const [question] = server.requests.filter(({ path }) => path === "/api/client/receipts");
    expect(question?.body.ids).toEqual([arrived.id, lost.id]);
    expect(server.batches.flatMap(({ body }) => body.events.map(({ id }: { id: string }) => id))).toEqual([
      lost.id,
    ]);
    expect(await second.waiting()).toEqual([]);
    expect([...mirror.texts.keys()].filter((key) => key.endsWith(".beacon"))).toEqual([]);
    await second.close();
  });
});
