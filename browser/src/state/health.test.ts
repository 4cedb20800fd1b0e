import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { unreachable } from "../core/problem";
import { FakeAir, FakeLocks, FakeWire } from "../feed/rig";
import type { Answer } from "../wire/client";
import type { Health } from "../wire/shapes";
import { watchHealth } from "./health";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const OK: Health = { status: "ok", epoch: "1", seq: 1 };

function watch(browser = { locks: new FakeLocks(), air: new FakeAir(), wire: new FakeWire() }) {
  const health = vi.fn(async (): Promise<Answer<Health>> => ({ ok: true, value: OK }));
  const onReached = vi.fn();
  const listeners: ((change: "seen" | "hidden" | "gone") => void)[] = [];
  const watcher = watchHealth({
    wire: browser.wire,
    calls: { health },
    clock: systemClock,
    random: () => 0.5,
    online: () => true,
    locks: browser.locks,
    channel: browser.air.channel(),
    page: {
      visible: () => true,
      listen(heard) {
        listeners.push(heard);
        return () => {};
      },
    },
    onReached,
  });
  const page = (change: "seen" | "hidden" | "gone") => {
    for (const heard of listeners) heard(change);
  };
  return { ...watcher, browser, health, onReached, page };
}

const settled = () => vi.advanceTimersByTimeAsync(1);

describe("the watch over the service", () => {
  it("keeps the last word of the server and its time, and tells when it is back", async () => {
    const { health, service, onReached, browser } = watch();
    await settled();
    browser.wire.line.close();
    browser.wire.refuse = async () => ({ ok: false, problem: unreachable("") });
    const confirmedAtMs = service.value.confirmedAtMs;
    health.mockResolvedValue({ ok: false, problem: unreachable("") });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(service.value).toMatchObject({ reach: "ourService", confirmedAtMs, health: { status: "ok" } });
    health.mockResolvedValue({ ok: true, value: OK });
    await vi.advanceTimersByTimeAsync(40_000);
    expect(service.value.reach).toBe("reached");
    expect(onReached.mock.calls.filter(([again]) => again)).toEqual([[true]]);
  });

  it("does not run to everybody with each small thing that the stream says", async () => {
    const { browser, onReached, service } = watch();
    await settled();
    browser.wire.line.tell("snapshot", OK, "1.1");
    for (let seq = 1; seq <= 100; seq += 1) {
      browser.wire.line.tell("patch", { base: seq, patch: { seq: seq + 1 } }, `1.${seq + 1}`);
    }
    await settled();
    expect(service.value.health?.seq).toBe(101);
    expect(onReached).toHaveBeenCalledTimes(1);
  });

  it("leaves the lead to another tab when its page is frozen or closed, and can take it again", async () => {
    const first = watch();
    const second = watch(first.browser);
    await settled();
    first.page("gone");
    await settled();
    expect(first.browser.wire.lines).toHaveLength(2);
    second.page("gone");
    first.page("seen");
    await settled();
    expect(first.browser.wire.lines).toHaveLength(3);
  });
});
