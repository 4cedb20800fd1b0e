import { IDBFactory } from "fake-indexeddb";
import "fake-indexeddb/auto";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { PROGRESS_PATH } from "./requests";
import { json, networkDown } from "./rig";
import { openTally, type Tally, tellingSyncs } from "./tally";

describe("the count of background syncs", () => {
  let factory: IDBFactory;
  let tally: Tally;
  const send = vi.fn<typeof fetch>();
  beforeEach(() => {
    factory = new IDBFactory();
    tally = openTally(() => factory);
    send.mockReset().mockImplementation(async () => json({}));
  });
  const post = (path = PROGRESS_PATH) =>
    tellingSyncs(send, tally)(path, { method: "POST", headers: { "X-CSRF-Token": "its" } });
  const told = () =>
    send.mock.calls.map(([, init]) => {
      const headers = new Headers(init?.headers);
      expect(headers.get("X-CSRF-Token")).toBe("its");
      return [headers.get("X-Client-Sync-Success"), headers.get("X-Client-Sync-Failure")];
    });

  it("goes with the next batch, once, whoever counted", async () => {
    const worker = openTally(() => factory);
    await worker.add({ well: 0, badly: 1 });
    await worker.add({ well: 1, badly: 0 });
    await worker.add({ well: 1, badly: 0 });
    await post("/api/auth/session");
    await post();
    await post();
    expect(told()).toEqual([
      [null, null],
      ["2", "1"],
      [null, null],
    ]);
  });

  it("goes with one of two batches that leave together", async () => {
    await tally.add({ well: 3, badly: 0 });
    await Promise.all([post(), post()]);
    expect(told().map(([well]) => well)).toEqual(expect.arrayContaining(["3", null]));
  });

  it.each([
    ["the network is down", networkDown],
    ["a captive portal answers", async () => json({}, 200)],
    ["the server has no time", async () => json({}, 503)],
  ])("is told again where %s", async (_, behaviour) => {
    await tally.add({ well: 1, badly: 2 });
    send.mockImplementationOnce(behaviour);
    await post().catch(() => {});
    await vi.waitFor(async () => {
      send.mockClear();
      await post();
      expect(told()).toEqual([["1", "2"]]);
    });
  });

  it("holds no batch up where storage is dead, or does not answer", async () => {
    const dead = openTally(() => {
      throw new DOMException("gone", "UnknownError");
    });
    const asked = tellingSyncs(send, dead);
    await asked(PROGRESS_PATH, {});
    await asked(PROGRESS_PATH, {});
    let answer = (_: { well: number; badly: number }) => {};
    const slow: Tally = { add: vi.fn(async () => {}), take: () => new Promise((ok) => (answer = ok)) };
    await tellingSyncs(send, slow)(PROGRESS_PATH, {});
    expect(send).toHaveBeenCalledTimes(3);
    answer({ well: 1, badly: 0 });
    await vi.waitFor(() => expect(slow.add).toHaveBeenCalledWith({ well: 1, badly: 0 }));
  });
});
