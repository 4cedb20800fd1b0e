import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { describe, expect, it } from "vitest";
import { openRegistry } from "./registry";

const ADA = { orgId: "tidewater", userId: "ada" };
const CAL = { orgId: "highland", userId: "cal" };

describe("the registry of outboxes", () => {
  it("tells the worker, in another context, whose outboxes there are", async () => {
    const factory = new IDBFactory();
    const page = openRegistry(() => factory);
    const worker = openRegistry(() => factory);
    expect(await worker.all()).toEqual([]);
    await page.note(ADA);
    await page.note(CAL);
    await page.note(ADA);
    expect((await worker.all()).map(({ userId }) => userId).sort()).toEqual(["ada", "cal"]);
  });

  it("drops an outbox's name when it is forgotten", async () => {
    const factory = new IDBFactory();
    const registry = openRegistry(() => factory);
    await registry.note(ADA);
    await registry.note(CAL);
    await registry.forget(ADA);
    expect(await registry.all()).toEqual([CAL]);
  });
});
