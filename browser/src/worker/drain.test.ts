import { describe, expect, it } from "vitest";
import type { Entry, Lane, LaneState, News, Outbox } from "../outbox/index";
import { drain } from "./drain";

const entry = (id: string) => ({ id, payload: "{}" }) as Entry;
const never = () => new Promise<void>(() => {});

/** An outbox whose sending the test plays: `send` is what happens after it was asked to. */
function rig(
  waiting: string[],
  send: (tell: (news: News) => void, set: (count: number, state: LaneState) => void) => void,
) {
  let heard: (news: News) => void = () => {};
  let lane: { waiting: number; state: LaneState } = { waiting: waiting.length, state: { name: "idle" } };
  const idle = { waiting: 0, state: { name: "idle" } };
  const set = (count: number, state: LaneState) => {
    lane = { waiting: count, state };
    heard({ type: "status" } as News);
  };
  const outbox = {
    waiting: async () => waiting.map(entry),
    subscribe(listener: (news: News) => void) {
      heard = listener;
      return () => {};
    },
    get status() {
      return {
        backlog: lane.waiting,
        lanes: { progressQueue: lane, adminQueue: idle, analyticsQueue: idle },
      };
    },
    sendNow: () => queueMicrotask(() => send((news) => heard(news), set)),
  };
  return outbox as unknown as Outbox;
}

const settled = (id: string, outcome: "accepted" | "duplicate" = "accepted"): News => ({
  type: "settled",
  id,
  lane: "progressQueue" as Lane,
  outcome,
});

describe("emptying an outbox from the worker", () => {
  it("tells what was sent, what was there before, and what is left", async () => {
    const outbox = rig(["a", "b", "c"], (tell, set) => {
      set(3, { name: "sending" });
      tell(settled("a"));
      tell(settled("b", "duplicate"));
      tell({ type: "undeliverable", item: {} } as News);
      set(0, { name: "idle" });
    });
    expect(await drain(outbox, never)).toEqual({
      sent: 2,
      duplicates: 1,
      undeliverable: 1,
      left: 0,
      entries: [entry("a"), entry("b")],
    });
  });

  it.each<LaneState>([
    { name: "waiting", nextTryAtMs: 0, why: "", asked: false },
    { name: "held", why: "signIn" },
  ])("ends where the lane does not go on: $name", async (state) => {
    const outbox = rig(["a"], (_, set) => set(1, state));
    expect(await drain(outbox, never)).toMatchObject({ sent: 0, left: 1 });
  });

  it("ends when its time is over", async () => {
    const outbox = rig(["a"], (_, set) => set(1, { name: "sending" }));
    expect(await drain(outbox, async () => {})).toMatchObject({ sent: 0, left: 1 });
  });

  it("has nothing to do where nothing waits", async () => {
    expect(
      await drain(
        rig([], () => {}),
        never,
      ),
    ).toMatchObject({ sent: 0, left: 0 });
  });
});
