import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { describe, expect, it } from "vitest";
import type { Draft } from "./entry";
import type { Outbox } from "./port";
import {
  assigned,
  type Behaviour,
  completed,
  FakeChannels,
  FakeLocks,
  FakeMirror,
  FakeServer,
  json,
  ManualClock,
  networkDown,
  open,
  problem,
  progressed,
  type SentEvent,
} from "./rig";

const SEEDS = Array.from({ length: 25 }, (_, at) => at + 1);
const STEPS = 60;

/** Mulberry32: the same numbers for the same seed, everywhere. */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

const POISON = { kind: "lesson.completed", payload: '{"courseId":"course","lessonId":"poison"}' };
const isPoison = (event: SentEvent) => (event.body as { lessonId?: string })?.lessonId === "poison";

/** A browser whose tabs are killed as they stand: no timer rings, no answer arrives, no news is heard. */
class Browser {
  readonly clock = new ManualClock();
  readonly server = new FakeServer();
  readonly factory = new IDBFactory();
  readonly mirror = new FakeMirror();
  readonly channels = new FakeChannels();
  locks = new FakeLocks();
  readonly kept = new Set<string>();
  readonly poison = new Set<string>();
  tabs: { outbox: Outbox; kill: () => void }[] = [];

  constructor(readonly random: () => number) {}

  async tab(): Promise<void> {
    let alive = true;
    const channel = this.channels.channel();
    const { clock } = this;
    const outbox = await open(this.server, {
      indexedDB: this.factory,
      mirror: this.mirror,
      locks: this.locks as unknown as LockManager,
      random: this.random,
      channel: () => channel,
      clock: {
        now: clock.now,
        elapsed: clock.elapsed,
        after: (ms, run) => clock.after(ms, () => alive && run()),
      },
      fetch: ((...request) =>
        this.server.fetch(...request).then(
          (answer) => (alive ? answer : new Promise(() => {})),
          (fault) => (alive ? Promise.reject(fault) : new Promise(() => {})),
        )) as typeof fetch,
    });
    const kill = () => {
      alive = false;
      channel.deaf = true;
    };
    this.tabs.push({ outbox, kill });
  }

  kill(): void {
    const at = Math.floor(this.random() * this.tabs.length);
    const [tab] = this.tabs.splice(at, 1);
    tab?.kill();
  }

  add(): void {
    const tab = this.tabs[Math.floor(this.random() * this.tabs.length)];
    const drafts: Draft[] = [
      progressed(1),
      completed("one"),
      { kind: "analytics.recorded", payload: "{}" },
      assigned("ben"),
      POISON,
    ];
    const draft = drafts[Math.floor(this.random() * drafts.length)] as Draft;
    void tab?.outbox.add(draft).then(({ id }) => {
      this.kept.add(id);
      if (draft === POISON) this.poison.add(id);
    });
  }
}

/** The server as it is on a bad day; it answers as itself in about half of all cases. */
function moody({ server, random, clock }: Browser): Behaviour {
  return async (request) => {
    const draw = random();
    const carriesEntries = request.body.events?.length > 0 || request.path.endsWith("assign");
    if (draw < 0.08) return networkDown();
    if (draw < 0.14) return problem(503, "unavailable");
    if (draw < 0.18) return problem(429, "rate_limited", { "Retry-After": "7" });
    if (draw < 0.22) return new Response("<html>Welcome</html>", { status: 200 });
    if (draw < 0.3) await new Promise<void>((resolve) => void clock.after(random() * 30_000, resolve));
    if (carriesEntries && draw < 0.4) {
      // It had them, and nobody hears of it.
      strict(server)(request) ?? server.answer(request);
      return networkDown();
    }
    if (request.path.endsWith("/batch") && draw < 0.46) {
      const some = request.body.events.filter(() => random() < 0.5);
      return (
        strict(server)({ ...request, body: { ...request.body, events: some } }) ??
        server.answer({ ...request, body: { ...request.body, events: some } })
      );
    }
    if (request.path.endsWith("/batch") && draw < 0.5) {
      const receipts = request.body.events.map(({ id }: SentEvent) => ({
        id,
        status: "later",
        retryAfterS: 3,
      }));
      return json({ receipts, device: null, slowDownMs: 500 });
    }
    return strict(server)(request);
  };
}

/** A poisonous event is refused: with its whole batch by one kind of server, by its receipt by the other. */
const strict =
  (server: FakeServer): ((request: Parameters<Behaviour>[0]) => Response | undefined) =>
  (request) => {
    const events: SentEvent[] = request.body.events ?? [];
    if (!events.some(isPoison)) return undefined;
    if (request.text.length % 2) return problem(422, "invalid");
    const { deviceId, generation } = request.body;
    const receipts = events.map((event) =>
      isPoison(event)
        ? { id: event.id, status: "invalid", reason: "poison" }
        : server.take(event, deviceId, generation),
    );
    return json({ receipts, device: server.deviceState(deviceId, generation), slowDownMs: 0 });
  };

describe("whatever happens in whatever order", () => {
  it.each(SEEDS)(
    "each entry that was called kept is applied once or is undeliverable (seed %i)",
    async (seed) => {
      const random = numbersFrom(seed);
      const browser = new Browser(random);
      const { clock, server } = browser;
      server.behaviour = moody(browser);
      await browser.tab();
      for (let step = 0; step < STEPS; step += 1) {
        const draw = random();
        if (draw < 0.5) browser.add();
        else if (draw < 0.6 && browser.tabs.length < 4) await browser.tab();
        else if (draw < 0.68 && browser.tabs.length > 1) browser.kill();
        else if (draw < 0.74) browser.tabs[0]?.outbox.sendNow();
        else if (draw < 0.78) clock.skewMs += (random() - 0.5) * 7_200_000;
        else await clock.pass(random() * 8_000);
      }
      await clock.settle();
      // The day after: all tabs are gone, the browser was started anew, the server is well.
      while (browser.tabs.length > 0) browser.kill();
      if (seed % 2) browser.locks = new FakeLocks();
      server.behaviour = strict(server);
      await browser.tab();
      const [last] = browser.tabs as [(typeof browser.tabs)[0]];
      await clock.until(() => last.outbox.status.backlog === 0);
      await clock.pass(30_000);

      const undeliverable = new Set((await last.outbox.undeliverable()).map(({ id }) => id));
      expect(browser.kept.size).toBeGreaterThan(5);
      for (const id of browser.kept) {
        expect([id, server.applied.has(id), undeliverable.has(id)]).toEqual([
          id,
          !browser.poison.has(id),
          browser.poison.has(id),
        ]);
      }
      expect(await last.outbox.losses()).toEqual([]);
      await last.outbox.close();
    },
  );
});
