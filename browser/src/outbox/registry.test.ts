import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { describe, expect, it } from "vitest";
import { openRegistry } from "./registry";

const ADA = { orgId: "tidewater", userId: "ada" };
const CAL = { orgId: "highland", userId: "cal" };

describe("the registry of outboxes", () => {
  it("tells the worker, in another context, who is here and whose outboxes there are", async () => {
    const factory = new IDBFactory();
    const page = openRegistry(() => factory);
    const worker = openRegistry(() => factory);
    expect([await worker.present(), await worker.all()]).toEqual([undefined, []]);
    await page.note(ADA);
    await page.note(CAL);
    await page.note(ADA);
    await page.setPresent(CAL);
    expect(await worker.present()).toEqual(CAL);
    expect((await worker.all()).map(({ userId }) => userId).sort()).toEqual(["ada", "cal"]);
  });

  it("keeps an outbox's name when its person signs out, and drops it when it is forgotten", async () => {
    const factory = new IDBFactory();
    const registry = openRegistry(() => factory);
    await registry.note(ADA);
    await registry.setPresent(ADA);
    await registry.setPresent(undefined);
    expect([await registry.present(), await registry.all()]).toEqual([undefined, [ADA]]);
    await registry.forget(ADA);
    expect(await registry.all()).toEqual([]);
  });
});
