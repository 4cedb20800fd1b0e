import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { unreachable } from "../core/problem";
import type { Answer } from "../wire/client";
import type { Health } from "../wire/shapes";
import type { ToPage } from "../wire/worker-words";
import type { Service } from "./ladder";
import { BEAT_MS, HIDDEN_PATIENCE_MS, PATIENCE_MS } from "./leader";
import { FakeAir, FakeLocks, FakeWire } from "./rig";
import { startRuntime } from "./runtime";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const OK: Health = { status: "ok", epoch: "e", seq: 4 };
const settled = () => vi.advanceTimersByTimeAsync(1);

class Browser {
  readonly locks = new FakeLocks();
  readonly air = new FakeAir();
  readonly wire = new FakeWire();
  readonly poll = vi.fn(async (): Promise<Answer<Health>> => ({ ok: true, value: OK }));

  tab({ visible = true, locks = true } = {}) {
    const told: Service[] = [];
    const news: ToPage[] = [];
    const channel = this.air.channel();
    const runtime = startRuntime({
      wire: this.wire,
      poll: this.poll,
      clock: systemClock,
      random: () => 0.5,
      online: () => true,
      visible: () => visible,
      locks: locks ? this.locks : undefined,
      channel,
      changed: (service) => void told.push(service),
      worker: (message) => void news.push(message),
    });
    return { ...runtime, told, news, channel, last: () => told.at(-1) };
  }

  freeze(tab: { channel: object }): void {
    this.air.frozen.add(tab.channel);
  }
}

describe("the runtime status of a browser", () => {
  it("needs one stream for seven tabs, and all hear what it says", async () => {
    const browser = new Browser();
    const tabs = Array.from({ length: 7 }, () => browser.tab());
    await settled();
    expect(browser.wire.lines).toHaveLength(1);
    browser.wire.line.tell("snapshot", OK, "e.4");
    browser.wire.line.tell("patch", { base: 4, patch: { status: "degraded", seq: 5 } }, "e.5");
    await settled();
    for (const tab of tabs) expect(tab.last()?.health?.status).toBe("degraded");
  });

  it("tells a tab that opens late how things stand", async () => {
    const browser = new Browser();
    browser.tab();
    await settled();
    browser.wire.line.tell("snapshot", { ...OK, status: "degraded" }, "e.4");
    await settled();
    const late = browser.tab();
    await settled();
    expect(late.last()).toMatchObject({ reach: "reached", health: { status: "degraded" } });
    expect(browser.wire.lines).toHaveLength(1);
  });

  it("replaces a leader that froze with its lock in hand, and the old one follows when it thaws", async () => {
    const browser = new Browser();
    const frozen = browser.tab();
    const other = browser.tab();
    await settled();
    browser.freeze(frozen);
    await vi.advanceTimersByTimeAsync(PATIENCE_MS + 2 * BEAT_MS);
    expect(browser.wire.lines).toHaveLength(2);
    expect(browser.wire.lines[0]?.ended.signal.aborted).toBe(true);
    browser.wire.line.tell("snapshot", { ...OK, status: "down" }, "e.9");
    await settled();
    expect(other.last()?.health?.status).toBe("down");
    expect(frozen.last()?.health?.status).toBe("down");
  });

  it("leaves a leader that beats in its place, and hidden tabs are patient with one that does not", async () => {
    const browser = new Browser();
    const leader = browser.tab();
    browser.tab({ visible: false });
    await settled();
    for (let beat = 0; beat < 30; beat += 1) {
      browser.wire.line.say(":\n\n");
      await vi.advanceTimersByTimeAsync(10_000);
    }
    expect(browser.wire.lines).toHaveLength(1);
    browser.freeze(leader);
    browser.wire.line.say(":\n\n");
    await vi.advanceTimersByTimeAsync(PATIENCE_MS + 2 * BEAT_MS);
    expect(browser.wire.lines).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(HIDDEN_PATIENCE_MS);
    expect(browser.wire.lines.length).toBeGreaterThan(1);
  });

  it("is led by another as soon as the leader rests", async () => {
    const browser = new Browser();
    const first = browser.tab();
    const second = browser.tab();
    await settled();
    first.rest();
    await settled();
    expect(browser.wire.lines).toHaveLength(2);
    browser.wire.line.tell("snapshot", { ...OK, status: "down" }, "e.4");
    await settled();
    expect(second.last()?.health?.status).toBe("down");
    first.wake();
    await settled();
    expect(browser.wire.lines).toHaveLength(2);
  });

  it("asks anew for everyone when somebody signs in in any tab", async () => {
    const browser = new Browser();
    browser.tab();
    const other = browser.tab();
    await settled();
    browser.wire.line.tell("snapshot", OK, "e.4");
    await settled();
    other.ask("ada");
    await settled();
    expect(browser.wire.lines).toHaveLength(2);
    expect(browser.wire.line.headers).toEqual({});
    // The next tab of the same person takes nothing away from the others.
    browser.wire.line.tell("snapshot", OK, "e.5");
    browser.tab().ask("ada");
    await settled();
    expect(browser.wire.lines).toHaveLength(2);
    other.ask("");
    await settled();
    expect(browser.wire.lines).toHaveLength(3);
  });

  it("shows nobody what was told to the person before, also while the server can't be asked", async () => {
    const browser = new Browser();
    const leader = browser.tab();
    const other = browser.tab();
    await settled();
    leader.ask("olu");
    await settled();
    browser.wire.line.tell("snapshot", { ...OK, featureFlags: { NEW: true } }, "e.4");
    await settled();
    browser.wire.refuse = async () => ({ ok: false, problem: unreachable("no answer") });
    browser.poll.mockResolvedValue({ ok: false, problem: unreachable("no answer") });
    leader.ask("ada");
    expect(leader.last()?.health?.featureFlags).toBeUndefined();
    await settled();
    for (const tab of [leader, other]) {
      expect(tab.last()?.reach).toBe("ourService");
      expect(tab.last()?.health).toMatchObject({ status: "ok" });
      expect(tab.last()?.health?.featureFlags).toBeUndefined();
    }
  });

  it("passes on what the service worker tells, in every tab", async () => {
    const browser = new Browser();
    const tabs = [browser.tab(), browser.tab()];
    const worker = browser.air.channel();
    const news = { type: "SYNC_COMPLETE", sent: 3, duplicates: 1, undeliverable: 0, left: 0 };
    worker.postMessage(news);
    await settled();
    for (const tab of tabs) expect(tab.news).toEqual([news]);
  });

  it("works where Web Locks are denied as where there are none, and asks for no lock again", async () => {
    const browser = new Browser();
    const denied = () => Promise.reject(new DOMException("Storage is denied.", "SecurityError"));
    // Whoever asks without end is to fail this test, not to hang it.
    const request = vi.fn(() => (request.mock.calls.length > 50 ? new Promise(() => {}) : denied()));
    browser.locks.request = request as unknown as LockManager["request"];
    const tabs = [browser.tab(), browser.tab()];
    await settled();
    expect(browser.wire.lines).toHaveLength(0);
    for (const tab of tabs) expect(tab.last()).toMatchObject({ reach: "reached", via: "poll" });
    await vi.advanceTimersByTimeAsync(HIDDEN_PATIENCE_MS);
    for (const tab of tabs) {
      tab.rest();
      tab.wake();
    }
    await settled();
    expect(request).toHaveBeenCalledTimes(tabs.length);
  });

  it("works without Web Locks: each tab asks for itself, and none holds a stream", async () => {
    const browser = new Browser();
    const tabs = [browser.tab({ locks: false }), browser.tab({ locks: false })];
    await settled();
    expect(browser.wire.lines).toHaveLength(0);
    for (const tab of tabs) expect(tab.last()).toMatchObject({ reach: "reached", via: "poll" });
  });
});
