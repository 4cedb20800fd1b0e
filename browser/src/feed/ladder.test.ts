import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { garbled, unreachable } from "../core/problem";
import type { Answer, Opened } from "../wire/client";
import type { Health } from "../wire/shapes";
import { climb, POLL_EVERY_MS, reachAfter, type Service } from "./ladder";
import { FakeWire } from "./rig";
import { SILENCE_MS } from "./stream";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const OK: Health = { status: "ok", epoch: "e", seq: 4 };
const noStream = async (): Promise<Opened> => ({ ok: false, problem: garbled(502, "a proxy's page") });

function stand({ streams = true, online = true } = {}) {
  const wire = new FakeWire();
  const poll = vi.fn(async (): Promise<Answer<Health>> => ({ ok: true, value: OK }));
  const told: Service[] = [];
  const parts = {
    wire,
    poll,
    clock: systemClock,
    random: () => 0.5,
    online: () => online,
    streams,
    changed: (service: Service) => void told.push(service),
  };
  const start = () => climb(parts, { reach: "asking", via: "none" });
  return { wire, poll, told, start, last: () => told.at(-1) };
}

const settled = () => vi.advanceTimersByTimeAsync(0);

describe("the ladder", () => {
  it("asks once at the start and is quiet while the stream speaks", async () => {
    const { wire, poll, start, last } = stand();
    start();
    await settled();
    wire.line.tell("snapshot", OK, "e.4");
    for (let beat = 0; beat < 20; beat += 1) {
      await vi.advanceTimersByTimeAsync(15_000);
      wire.line.say(":\n\n");
    }
    await settled();
    // The one at the start, and at most the one that was under way when the stream began to speak.
    expect(poll.mock.calls.length).toBeLessThanOrEqual(2);
    expect(wire.lines).toHaveLength(1);
    expect(last()).toMatchObject({ reach: "reached", via: "stream", health: { status: "ok" } });
  });

  it("tells a change in the moment it comes", async () => {
    const { wire, start, last } = stand();
    start();
    await settled();
    wire.line.tell("snapshot", OK, "e.4");
    wire.line.tell("patch", { base: 4, patch: { status: "degraded", seq: 5 } }, "e.5");
    await settled();
    expect(last()?.health?.status).toBe("degraded");
  });

  it("asks every 15 s while a proxy holds the stream back", async () => {
    const { wire, poll, start, last, told } = stand();
    start();
    await vi.advanceTimersByTimeAsync(SILENCE_MS + 4 * POLL_EVERY_MS);
    expect(new Set(told.map((service) => service.reach))).toEqual(new Set(["reached"]));
    expect(poll.mock.calls.length).toBeGreaterThanOrEqual(5);
    expect(last()).toMatchObject({ reach: "reached", via: "poll" });
    // The withheld stream costs a connection: it is not tried again at once.
    expect(wire.lines).toHaveLength(1);
  });

  it("is grey in silence, red once an answer stays away too, and green when it is back", async () => {
    const { wire, poll, start, told, last } = stand();
    start();
    await settled();
    wire.line.tell("snapshot", OK, "e.4");
    await settled();
    const confirmedAtMs = last()?.confirmedAtMs;
    poll.mockResolvedValue({ ok: false, problem: unreachable("") });
    await vi.advanceTimersByTimeAsync(SILENCE_MS);
    expect(told.slice(-2).map((service) => service.reach)).toEqual(["silent", "ourService"]);
    expect(last()).toMatchObject({ confirmedAtMs, health: OK });
    poll.mockResolvedValue({ ok: true, value: OK });
    await vi.advanceTimersByTimeAsync(2 * POLL_EVERY_MS);
    expect(last()?.reach).toBe("reached");
  });

  it("comes back when the server said, not before", async () => {
    const { wire, start } = stand();
    start();
    await settled();
    wire.line.say("event: bye\nretry: 8000\ndata: {}\n\n");
    await vi.advanceTimersByTimeAsync(7_999);
    expect(wire.lines).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(wire.lines).toHaveLength(2);
  });

  it("goes on where it was after a broken line, within seconds", async () => {
    const { wire, start } = stand();
    start();
    await settled();
    wire.line.tell("snapshot", OK, "e.4");
    await settled();
    wire.line.break();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(wire.line.headers).toEqual({ "Last-Event-ID": "e.4" });
  });

  it("asks every 15 s where the stream broke so often that it is not tried again for minutes", async () => {
    const { wire, poll, start, last } = stand();
    start();
    for (let times = 1; times <= 4; times += 1) {
      // Until it is there again, and has spoken for so long that nobody asks any more.
      await vi.advanceTimersByTimeAsync(10_000);
      wire.line.tell("snapshot", OK, "e.4");
      await vi.advanceTimersByTimeAsync(POLL_EVERY_MS);
      wire.line.break();
      await settled();
    }
    const asked = poll.mock.calls.length;
    await vi.advanceTimersByTimeAsync(4 * POLL_EVERY_MS);
    expect(wire.lines).toHaveLength(4);
    expect(poll.mock.calls.length).toBeGreaterThanOrEqual(asked + 4);
    expect(last()).toMatchObject({ reach: "reached", via: "poll" });
  });

  it("is not taken in by a proxy that lets everything but the stream through", async () => {
    const { wire, poll, start, told } = stand();
    wire.refuse = noStream;
    const open = vi.spyOn(wire, "open");
    start();
    await vi.advanceTimersByTimeAsync(60 * 60_000);
    expect(new Set(told.map((service) => service.reach))).toEqual(new Set(["reached"]));
    expect(poll.mock.calls.length).toBeGreaterThan(150);
    expect(open.mock.calls.length).toBeLessThan(20);
  });

  it("stays on its own feet where tabs cannot agree: it polls and holds no stream", async () => {
    const { wire, poll, start } = stand({ streams: false });
    start();
    await vi.advanceTimersByTimeAsync(4 * POLL_EVERY_MS);
    expect(wire.lines).toHaveLength(0);
    expect(poll.mock.calls.length).toBeGreaterThanOrEqual(4);
  });

  it("says nothing any more once it is stopped", async () => {
    const { wire, poll, told, start } = stand();
    const ladder = start();
    await settled();
    ladder.stop();
    const before = told.length;
    const asked = poll.mock.calls.length;
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect(told).toHaveLength(before);
    expect(poll.mock.calls).toHaveLength(asked);
    expect(wire.lines).toHaveLength(1);
  });

  it("tells the person's network from our service and from something in between", () => {
    expect(reachAfter(unreachable(""), false)).toBe("yourNetwork");
    expect(reachAfter(unreachable(""), true)).toBe("ourService");
    expect(reachAfter(garbled(200, ""), true)).toBe("inBetween");
  });
});
