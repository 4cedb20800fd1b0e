import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { garbled, unreachable } from "../core/problem";
import type { Answer } from "../wire/client";
import type { Health } from "../wire/shapes";
import { watchHealth } from "./health";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watch(online = true) {
  const health = vi.fn(
    async (): Promise<Answer<Health>> => ({ ok: true, value: { status: "ok", epoch: "1", seq: 1 } }),
  );
  const onReached = vi.fn();
  const watcher = watchHealth({ calls: { health }, clock: systemClock, online: () => online, onReached });
  return { ...watcher, health, onReached };
}

describe("the watch over the service", () => {
  it("asks every 15 s", async () => {
    const { ask, health } = watch();
    await ask();
    await vi.advanceTimersByTimeAsync(45_000);
    expect(health).toHaveBeenCalledTimes(4);
  });

  it("tells the person's network from our service and from something in between", async () => {
    const offline = watch(false);
    offline.health.mockResolvedValue({ ok: false, problem: unreachable("") });
    await offline.ask();
    expect(offline.service.value.reach).toBe("yourNetwork");

    const down = watch();
    down.health.mockResolvedValue({ ok: false, problem: unreachable("") });
    await down.ask();
    expect(down.service.value.reach).toBe("ourService");

    const portal = watch();
    portal.health.mockResolvedValue({ ok: false, problem: garbled(200, "") });
    await portal.ask();
    expect(portal.service.value.reach).toBe("inBetween");
  });

  it("keeps the last word of the server and its time, and tells when it is back", async () => {
    const { ask, health, service, onReached } = watch();
    await ask();
    const confirmedAtMs = service.value.confirmedAtMs;
    health.mockResolvedValueOnce({ ok: false, problem: unreachable("") });
    await vi.advanceTimersByTimeAsync(15_000);
    expect(service.value).toMatchObject({ reach: "ourService", confirmedAtMs, health: { status: "ok" } });
    await vi.advanceTimersByTimeAsync(15_000);
    expect(service.value.reach).toBe("reached");
    expect(onReached.mock.calls).toEqual([[false], [true]]);
  });
});
