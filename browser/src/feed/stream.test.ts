import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { garbled } from "../core/problem";
import { FakeWire } from "./rig";
import { follow, type Place, SILENCE_MS } from "./stream";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function listen(from?: Place, wire = new FakeWire()) {
  const alive = vi.fn();
  const heard = vi.fn();
  const following = follow({ wire, clock: systemClock, alive, heard }, from);
  return { wire, alive, heard, following };
}

const settled = () => vi.advanceTimersByTimeAsync(0);
const SNAPSHOT = { status: "ok", epoch: "e", seq: 4, org: { backlog: 0 } };

describe("a connection to the stream", () => {
  it("makes one document of a snapshot and its patches", async () => {
    const { wire, heard } = listen();
    await settled();
    wire.line.tell("snapshot", SNAPSHOT, "e.4");
    wire.line.tell("patch", { base: 4, patch: { status: "degraded", seq: 5, org: { backlog: 60 } } }, "e.5");
    await settled();
    expect(heard).toHaveBeenLastCalledWith(
      expect.objectContaining({ status: "degraded", seq: 5, org: { backlog: 60 } }),
    );
  });

  it("ends at a patch that belongs to another document, and comes back for a snapshot", async () => {
    const { wire, heard, following } = listen();
    await settled();
    wire.line.tell("snapshot", SNAPSHOT, "e.4");
    wire.line.tell("patch", { base: 5, patch: { status: "down", seq: 6 } }, "e.6");
    await expect(following.ended).resolves.toEqual({ why: "gap" });
    expect(heard).toHaveBeenCalledTimes(1);
    expect(following.place()).toBeUndefined();
  });

  it("notices by a beat that something was lost on the way", async () => {
    const { wire, following } = listen();
    await settled();
    wire.line.tell("snapshot", SNAPSHOT, "e.4");
    wire.line.tell("beat", { seq: 4 });
    wire.line.tell("beat", { seq: 6 });
    await expect(following.ended).resolves.toEqual({ why: "gap" });
  });

  it("begins anew when the server says that another may listen now", async () => {
    const { wire, following } = listen();
    await settled();
    wire.line.tell("snapshot", SNAPSHOT, "e.4");
    wire.line.say('event: bye\nretry: 10\ndata: {"reason":"session"}\n\n');
    await expect(following.ended).resolves.toEqual({ why: "bye", retryMs: 10 });
    expect(following.place()).toBeUndefined();
  });

  it("goes on from where the one before left off", async () => {
    const { wire, heard } = listen({ document: SNAPSHOT, id: "e.4" });
    await settled();
    expect(wire.line.headers).toEqual({ "Last-Event-ID": "e.4" });
    wire.line.tell("patch", { base: 4, patch: { status: "down", seq: 5 } }, "e.5");
    await settled();
    expect(heard).toHaveBeenCalledWith(expect.objectContaining({ status: "down" }));
  });

  it("is silent after 35 s without a byte, and any byte counts", async () => {
    const { wire, alive, following } = listen();
    await settled();
    await vi.advanceTimersByTimeAsync(SILENCE_MS - 1);
    wire.line.say(":\n\n");
    await vi.advanceTimersByTimeAsync(SILENCE_MS - 1);
    expect(alive).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    await expect(following.ended).resolves.toEqual({ why: "silent" });
    expect(wire.line.ended.signal.aborted).toBe(true);
  });

  it("takes the server's word for when to come back", async () => {
    const { wire, following } = listen();
    await settled();
    wire.line.say("event: bye\nretry: 1234\ndata: {}\n\n");
    await expect(following.ended).resolves.toEqual({ why: "bye", retryMs: 1234 });
  });

  it("comes back as asked when it is closed after `retry`, as over a cap", async () => {
    const { wire, following } = listen();
    await settled();
    wire.line.say("retry: 9000\n\n");
    wire.line.tell("snapshot", SNAPSHOT, "e.4");
    wire.line.close();
    await expect(following.ended).resolves.toEqual({ why: "bye", retryMs: 9000 });
  });

  it("is broken when the line breaks or closes without a word", async () => {
    const cut = listen();
    await settled();
    cut.wire.line.break();
    await expect(cut.following.ended).resolves.toEqual({ why: "broken" });
    const closed = listen();
    await settled();
    closed.wire.line.close();
    await expect(closed.following.ended).resolves.toEqual({ why: "broken" });
  });

  it("believes no snapshot that is not health", async () => {
    const { wire, heard, following } = listen();
    await settled();
    wire.line.tell("snapshot", { status: "splendid" }, "e.1");
    await expect(following.ended).resolves.toEqual({ why: "gap" });
    expect(heard).not.toHaveBeenCalled();
  });

  it("tells why it was not opened", async () => {
    const wire = new FakeWire();
    const problem = garbled(200, "a login page");
    wire.refuse = async () => ({ ok: false, problem });
    await expect(listen(undefined, wire).following.ended).resolves.toEqual({ why: "refused", problem });
  });

  it("ends at once when it is stopped, also while it is being opened", async () => {
    const { following, wire } = listen();
    following.stop();
    await settled();
    expect(wire.line.ended.signal.aborted).toBe(true);
    await expect(following.ended).resolves.toEqual({ why: "stopped" });
  });
});
