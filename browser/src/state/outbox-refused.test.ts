import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Undeliverable } from "../outbox/entry";
import { boxOf, type FakeOutbox, keptDraft, openPage, settle, states } from "./rig";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("what the server will not have", () => {
  const refuse = (box: FakeOutbox): Undeliverable => {
    const entry = box.put(keptDraft("one"));
    box.entries = [];
    const item = {
      id: entry.id,
      entry,
      code: "unknown_lesson",
      reason: "There is no such lesson.",
      since: "2026-01-02T00:00:00.000Z",
    };
    box.refused = [item];
    return item;
  };

  it("is shown with its reason when the news comes, and can be sent again under its id", async () => {
    const page = openPage();
    const outbox = page.start();
    await settle();
    const box = boxOf(page);
    const item = refuse(box);
    box.tell({ type: "undeliverable", item });
    box.countAgain();
    await settle();
    expect(outbox.undeliverable.value).toEqual([item]);
    expect(outbox.entries.value[0]?.state).toMatchObject({ name: "undeliverable", code: "unknown_lesson" });
    expect(await outbox.tryAgain(item.id)).toBe(true);
    await settle();
    expect(outbox.undeliverable.value).toEqual([]);
    expect(states(outbox)).toEqual(["kept"]);
  });

  it("is still shown where it can't be sent again, and is never said to be on its way", async () => {
    const page = openPage();
    page.opens = async (box) => {
      box.refused = [{ ...refuse(box), code: "damaged" }];
      box.countAgain();
    };
    const outbox = page.start();
    await settle();
    expect(await outbox.tryAgain("id-of-one")).toBe(false);
    await settle();
    expect(outbox.undeliverable.value).toMatchObject([{ id: "id-of-one", code: "damaged" }]);
    expect(states(outbox)).toEqual(["undeliverable"]);
  });

  it.each(["the first list", "a later one"])(
    "is shown also when the news comes while %s is being read",
    async (which) => {
      const page = openPage();
      let read = () => {};
      const readSlowly = (box: FakeOutbox) => {
        const { undeliverable } = box;
        box.undeliverable = async () => {
          const found = await undeliverable();
          await new Promise<void>((resolve) => (read = resolve));
          box.undeliverable = undeliverable;
          return found;
        };
      };
      page.opens = async (box) => {
        box.put(keptDraft("one"));
        box.countAgain();
        if (which === "the first list") readSlowly(box);
      };
      const outbox = page.start();
      await settle();
      const box = boxOf(page);
      if (which === "a later one") {
        readSlowly(box);
        box.put(keptDraft("two"));
        box.countAgain();
        await vi.advanceTimersByTimeAsync(1_000);
      }
      const item = refuse(box);
      box.tell({ type: "undeliverable", item });
      box.countAgain();
      read();
      await vi.advanceTimersByTimeAsync(2_000);
      expect(outbox.undeliverable.value).toEqual([item]);
      expect(states(outbox)).toEqual(["undeliverable"]);
    },
  );

  it("stays until its person puts it away", async () => {
    const page = openPage();
    page.opens = async (box) => {
      refuse(box);
      box.countAgain();
    };
    const outbox = page.start();
    await settle();
    expect(states(outbox)).toEqual(["undeliverable"]);
    await outbox.putAway("id-of-one");
    await settle();
    expect(outbox.entries.value).toEqual([]);
    expect(boxOf(page).refused).toEqual([]);
  });
});
