import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { lessonOpened } from "./acts";
import { ADA, boxOf, CAL, completed, keepsNothing, notKept, openPage, settle } from "./rig";
import { NOTHING_KNOWN } from "./watch-outbox";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("when the person changes", () => {
  it("their outbox is closed with what waits sealed in it, and nobody else sees it", async () => {
    const page = openPage();
    const outbox = page.start();
    outbox.add(completed("one"));
    await settle();
    page.owner.value = CAL;
    expect(outbox.entries.value).toEqual([]);
    await settle();
    expect(boxOf(page).closed).toBe(true);
    expect(page.sealed.all.value).toMatchObject([{ count: 1 }]);
    page.owner.value = ADA;
    expect(page.sealed.all.value).toEqual([]);
  });

  it("their outbox is closed also where it opens after they left, and the next one opens behind it", async () => {
    const page = openPage();
    let opened = () => {};
    page.opens = () => new Promise((resolve) => (opened = resolve));
    const outbox = page.start();
    await settle();
    page.owner.value = undefined;
    await settle();
    const openFirst = opened;
    page.owner.value = ADA;
    await settle();
    expect(page.boxes).toHaveLength(0);
    page.opens = async () => {};
    openFirst();
    await settle();
    expect(page.boxes.map(({ closed, listeners }) => [closed, listeners.size])).toEqual([
      [true, 0],
      [false, 1],
    ]);
    expect(outbox.ready.value).toBe(true);
  });

  it("what they still say goes into their own outbox", async () => {
    const page = openPage();
    const outbox = page.start();
    await settle();
    page.owner.value = CAL;
    await settle();
    outbox.add(completed("one"), ADA);
    await settle();
    expect(outbox.entries.value).toEqual([]);
    const owners = page.boxes.map(({ principal, entries }) => [principal.userId, entries.length]);
    expect(owners).toEqual([
      ["ada", 0],
      ["cal", 0],
      ["ada", 1],
    ]);
    expect(boxOf(page, 2).closed).toBe(true);
  });

  it("what the device could not keep holds their outbox open, and is told without being shown", async () => {
    const page = openPage();
    let full = true;
    page.opens = async (box) => {
      box.keeps = async () => {
        if (full && box.principal.userId === "ada") throw notKept(false);
      };
    };
    const outbox = page.start();
    outbox.add(completed("one"));
    await settle();
    page.owner.value = CAL;
    await settle();
    expect(boxOf(page).closed).toBe(false);
    expect(outbox.atRisk.value).toBe(1);
    expect(outbox.atRiskOfOthers.value).toBe(1);
    expect(outbox.entries.value).toEqual([]);
    full = false;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(outbox.atRisk.value).toBe(0);
    expect(boxOf(page).closed).toBe(true);
  });

  it("figures about use that the device could not keep are not offered to an outbox that is closed", async () => {
    const page = openPage();
    page.opens = keepsNothing;
    const outbox = page.start();
    outbox.add(lessonOpened({ courseId: "course", id: "one", title: "One" }));
    await settle();
    page.owner.value = CAL;
    await settle();
    expect(boxOf(page).closed).toBe(true);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(boxOf(page).drafts).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("nobody at all means that no event can be added", () => {
    const page = openPage();
    page.owner.value = undefined;
    const outbox = page.start();
    expect(() => outbox.add(completed("one"))).toThrow(/needs somebody/);
    expect(outbox.status.value).toEqual(NOTHING_KNOWN);
  });
});
