import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Parts } from "./parts";
import type { News, Outbox } from "./port";
import {
  completed,
  FakeChannels,
  FakeLocks,
  FakeMirror,
  FakePage,
  FakeServer,
  ManualClock,
  networkDown,
  open,
  progressed,
} from "./rig";

/** One browser: its tabs share a database, locks and channels. */
class Browser {
  readonly clock = new ManualClock();
  readonly server = new FakeServer();
  readonly factory = new IDBFactory();
  readonly locks = new FakeLocks();
  readonly channels = new FakeChannels();
  readonly tabs: Outbox[] = [];

  async tab(parts: Partial<Parts> = {}): Promise<Outbox> {
    const outbox = await open(this.server, {
      clock: this.clock,
      indexedDB: this.factory,
      locks: this.locks as unknown as LockManager,
      channel: this.channels.channel,
      ...parts,
    });
    this.tabs.push(outbox);
    return outbox;
  }
}

/** A tab that stops running, its lock in its hands: no timer of its own rings, no news is heard. */
function freezer(browser: Browser) {
  const frozen = { now: false, channel: undefined as { deaf: boolean } | undefined };
  const { clock } = browser;
  const parts: Partial<Parts> = {
    clock: {
      now: clock.now,
      elapsed: clock.elapsed,
      after: (ms, run) => clock.after(ms, () => !frozen.now && run()),
    },
    channel: () => {
      const channel = browser.channels.channel();
      frozen.channel = channel;
      return channel;
    },
  };
  const freeze = () => {
    frozen.now = true;
    if (frozen.channel) frozen.channel.deaf = true;
  };
  return { parts, freeze };
}

const sendersOf = (tabs: Outbox[]) => tabs.filter(({ status }) => status.sendsHere).length;

describe("tabs that share an outbox", () => {
  let browser: Browser;
  beforeEach(() => {
    browser = new Browser();
  });
  afterEach(async () => {
    for (const tab of browser.tabs) await tab.close();
  });

  it("have one sender among them, which sends what any of them adds, once", async () => {
    const [one, two, three] = [await browser.tab(), await browser.tab(), await browser.tab()];
    await browser.clock.pass(10);
    expect(sendersOf([one, two, three])).toBe(1);
    const entries = await Promise.all([one, two, three].map((tab) => tab.add(completed("lesson"))));
    expect(entries.map(({ seq }) => seq).sort()).toEqual([1, 2, 3]);
    await browser.clock.pass(500);
    expect(browser.server.applied.size).toBe(3);
    expect(browser.server.batches.flatMap(({ body }) => body.events)).toHaveLength(3);
  });

  it("write what localStorage mirrors when it changes, not with every beat", async () => {
    const mirror = new FakeMirror();
    const [one] = [await browser.tab({ mirror }), await browser.tab({ mirror })];
    await browser.clock.pass(10_000);
    const written: string[] = [];
    const set = mirror.set.bind(mirror);
    mirror.set = (key, value) => {
      if (!key.endsWith(".beacon")) written.push(key);
      set(key, value);
    };
    await browser.clock.pass(60_000);
    expect(written).toEqual([]);
    await one.add(completed("lesson"));
    await browser.clock.pass(60_000);
    expect(written).toHaveLength(1);
  });

  it("tell each other the news, and all show the same counts and states", async () => {
    const [one, two] = [await browser.tab(), await browser.tab()];
    browser.server.behaviour = networkDown;
    const heard: News[] = [];
    one.subscribe((news) => void heard.push(news));
    const { id } = await two.add(completed("lesson"));
    await browser.clock.pass(500);
    expect(heard.filter(({ type }) => type === "added")).toMatchObject([{ entry: { id } }]);
    for (const tab of [one, two]) {
      expect(tab.status).toMatchObject({ backlog: 1, lanes: { progressQueue: { waiting: 1 } } });
      expect(tab.status.lanes.progressQueue.state.name).toBe("waiting");
    }
    browser.server.behaviour = () => undefined;
    // Asked of the tab that does not send.
    two.sendNow();
    await browser.clock.pass(500);
    expect(heard.filter(({ type }) => type === "settled")).toMatchObject([{ id, outcome: "accepted" }]);
    expect([one.status.backlog, two.status.backlog]).toEqual([0, 0]);
  });

  it("learn the lanes' states when they open later", async () => {
    browser.server.behaviour = networkDown;
    const one = await browser.tab();
    await one.add(completed("lesson"));
    await browser.clock.pass(300);
    const two = await browser.tab();
    await browser.clock.pass(300);
    expect(two.status.lanes.progressQueue.state).toEqual(one.status.lanes.progressQueue.state);
    expect(two.status.sendsHere).toBe(false);
  });

  it("hand sending on when the sending tab closes", async () => {
    const [one, two] = [await browser.tab(), await browser.tab()];
    await browser.clock.pass(10);
    const [first, second] = one.status.sendsHere ? [one, two] : [two, one];
    await first.close();
    await browser.clock.pass(50);
    expect(second.status.sendsHere).toBe(true);
    await second.add(completed("lesson"));
    await browser.clock.pass(200);
    expect(browser.server.applied.size).toBe(1);
  });

  it("take sending from a tab that froze with the lock in its hands", async () => {
    const { parts, freeze } = freezer(browser);
    const frozen = await browser.tab(parts);
    await browser.clock.pass(10);
    expect(frozen.status.sendsHere).toBe(true);
    const other = await browser.tab();
    freeze();
    await other.add(completed("lesson"));
    await browser.clock.pass(10_000);
    expect(browser.server.applied.size).toBe(0);
    await browser.clock.pass(15_000);
    expect(other.status.sendsHere).toBe(true);
    expect(browser.server.applied.size).toBe(1);
  });

  it("settle nothing under an epoch that has passed", async () => {
    const { parts, freeze } = freezer(browser);
    let answer = (): void => {};
    const first = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let held = false;
    browser.server.behaviour = (request) => {
      if (held || !request.path.endsWith("/batch")) return undefined;
      held = true;
      return first.then(() => browser.server.answer(request));
    };
    const frozen = await browser.tab(parts);
    await browser.clock.pass(10);
    const { id } = await frozen.add(completed("lesson"));
    await browser.clock.pass(10);
    const heard: News[] = [];
    frozen.subscribe((news) => void heard.push(news));
    freeze();
    const other = await browser.tab();
    await browser.clock.pass(25_000);
    expect(browser.server.applied.has(id)).toBe(true);
    // The answer the frozen tab waited for comes when it thaws: it may not delete by it any more.
    const before = heard.length;
    answer();
    await browser.clock.pass(100);
    expect(heard.slice(before).filter(({ type }) => type === "settled")).toEqual([]);
    expect(other.status.sendsHere).toBe(true);
    expect(frozen.status.sendsHere).toBe(false);
  });

  it("prefer a tab that is seen", async () => {
    const hidden = new FakePage(true);
    const one = await browser.tab({ page: hidden });
    await browser.clock.pass(10);
    hidden.tell("hidden");
    expect(one.status.sendsHere).toBe(true);
    const two = await browser.tab({ page: new FakePage(true) });
    await browser.clock.pass(6_000);
    expect([one.status.sendsHere, two.status.sendsHere]).toEqual([false, true]);
  });

  it("let go of sending as they freeze or go, and come back when they are seen again", async () => {
    const page = new FakePage(true);
    const one = await browser.tab({ page });
    await browser.clock.pass(10);
    page.tell("gone");
    await browser.clock.pass(10);
    expect(one.status.sendsHere).toBe(false);
    const two = await browser.tab({ page: new FakePage(false) });
    await browser.clock.pass(10);
    expect(two.status.sendsHere).toBe(true);
    page.tell("seen");
    await browser.clock.pass(6_000);
    expect([one.status.sendsHere, two.status.sendsHere]).toEqual([true, false]);
  });

  it("begin nothing while they are frozen, and heed what they heard once they run again", async () => {
    const page = new FakePage(true);
    const frozen = await browser.tab({ page });
    const other = await browser.tab({ page: new FakePage(true) });
    await browser.clock.pass(6_000);
    const heard: string[] = [];
    frozen.subscribe(({ type }) => type === "status" || heard.push(type));
    page.tell("gone");
    await browser.clock.pass(10);
    await other.add(completed("lesson"));
    await browser.clock.pass(2_000);
    expect([heard, frozen.status.backlog]).toEqual([[], 0]);
    page.tell("seen");
    await browser.clock.pass(10);
    expect(heard).toEqual(["added", "settled", "drained"]);
  });

  it("count anew once they are seen again: a page that was put by has not heard everything", async () => {
    browser.server.behaviour = networkDown;
    const page = new FakePage(true);
    const putBy = await browser.tab({ page, channel: null });
    const other = await browser.tab();
    page.tell("gone");
    await other.add(completed("lesson"));
    await browser.clock.pass(1_000);
    expect(putBy.status.backlog).toBe(0);
    page.tell("seen");
    await browser.clock.pass(10);
    expect(putBy.status.backlog).toBe(1);
  });

  it("all send where there are no Web Locks, and nothing is applied twice", async () => {
    const [one, two] = [await browser.tab({ locks: null }), await browser.tab({ locks: null })];
    expect(sendersOf([one, two])).toBe(2);
    await Promise.all([one.add(progressed(10)), two.add(progressed(20)), one.add(completed("lesson"))]);
    await browser.clock.pass(20_000);
    expect(browser.server.applied.size).toBe(3);
    expect([one.status.backlog, two.status.backlog]).toEqual([0, 0]);
  });

  it("all send where Web Locks are denied, which is asked once", async () => {
    let asked = 0;
    const request = () => {
      asked += 1;
      // Were it asked for ever, no timer would ring any more, and this test would hang.
      if (asked > 100) return new Promise(() => {});
      return Promise.reject(new DOMException("Storage is denied here.", "SecurityError"));
    };
    const locks = { request } as unknown as LockManager;
    const page = new FakePage(true);
    const [one, two] = [await browser.tab({ locks, page }), await browser.tab({ locks })];
    await browser.clock.pass(10);
    expect(sendersOf([one, two])).toBe(2);
    page.tell("gone");
    page.tell("seen");
    await Promise.all([one.add(progressed(10)), two.add(completed("lesson"))]);
    await browser.clock.pass(60_000);
    expect(browser.server.applied.size).toBe(2);
    expect([one.status.backlog, two.status.backlog]).toEqual([0, 0]);
    expect(asked).toBe(2);
  });

  it("need no channel: a tab that hears nothing still sees what others added", async () => {
    const one = await browser.tab({ channel: null });
    const two = await browser.tab({ channel: null });
    await browser.clock.pass(10);
    await two.add(completed("lesson"));
    // By the watch of whoever sends, not by news.
    await browser.clock.pass(16_000);
    expect(browser.server.applied.size).toBe(1);
    expect(one.status.sendsHere).toBe(true);
  });
});
