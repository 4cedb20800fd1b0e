import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Undeliverable } from "../outbox/entry";
import {
  ADA,
  boxOf,
  CAL,
  completed,
  type FakeOutbox,
  keptDraft,
  notKept,
  openPage,
  settle,
  states,
} from "./rig";
import { markOf } from "./session";
import { NOTHING_KNOWN } from "./watch-outbox";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("an event that a page adds", () => {
  it("has no tick until the device has it, one then, and two after the receipt", async () => {
    const page = openPage();
    let kept = () => {};
    page.opens = async (box) => {
      box.keeps = () => new Promise((resolve) => (kept = resolve));
    };
    const outbox = page.start();
    await settle();
    const id = outbox.add(completed("one"));
    await settle();
    expect(states(outbox)).toEqual(["keeping"]);
    expect(outbox.atRisk.value).toBe(1);
    kept();
    await settle();
    expect(states(outbox)).toEqual(["kept"]);
    expect(outbox.atRisk.value).toBe(0);
    expect(page.onSaved).not.toHaveBeenCalled();
    boxOf(page).receipt(id);
    await settle();
    expect(states(outbox)).toEqual(["saved"]);
    expect(page.onSaved).toHaveBeenCalledOnce();
  });

  it("waits for the outbox to open, and is never called kept before", async () => {
    const page = openPage();
    let opened = () => {};
    page.opens = () => new Promise((resolve) => (opened = resolve));
    const outbox = page.start();
    const id = outbox.add(completed("one"));
    await settle();
    expect(states(outbox)).toEqual(["keeping"]);
    expect(outbox.ready.value).toBe(false);
    opened();
    await settle();
    expect(states(outbox)).toEqual(["kept"]);
    expect(boxOf(page).entries.map((entry) => entry.id)).toEqual([id]);
  });

  it("waits through a storage that will not open, is called not safe, and comes in when it does", async () => {
    const page = openPage();
    let broken = true;
    page.opens = async () => {
      if (broken) throw new Error("the storage is broken");
    };
    const outbox = page.start();
    outbox.add(completed("one"));
    await settle();
    expect(states(outbox)).toEqual(["unsafe"]);
    expect(outbox.status.value.storage).toBe("unsafe");
    broken = false;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(states(outbox)).toEqual(["kept"]);
    expect(outbox.status.value.storage).toBe("safe");
  });

  it("goes straight on while what waits can't be read, which is read as soon as it can", async () => {
    const page = openPage();
    let readable = false;
    page.opens = async (box) => {
      box.put(keptDraft("before"));
      box.countAgain();
      const waiting = box.waiting;
      box.waiting = async () => {
        if (!readable) throw new Error("the storage is broken");
        return waiting();
      };
    };
    const outbox = page.start();
    outbox.add(completed("one"));
    await settle();
    expect(boxOf(page).entries).toHaveLength(2);
    expect(outbox.ready.value).toBe(false);
    readable = true;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(outbox.ready.value).toBe(true);
    expect(outbox.openWork.value.map(({ says }) => says).sort()).toEqual(["before", "“one” complete"]);
  });

  it("carries its exact text, its lane and how a person calls it", async () => {
    const page = openPage();
    const outbox = page.start();
    outbox.add(completed("one"));
    outbox.add({ kind: "course.assigned", body: { courseId: "c", userIds: ["u"] }, says: "assigned" });
    await settle();
    expect(boxOf(page).entries).toMatchObject([
      { lane: "progressQueue", label: "“one” complete", payload: '{"courseId":"course","lessonId":"one"}' },
      { lane: "adminQueue", label: "assigned" },
    ]);
  });

  it("is as old as when its person did it, however late the device could keep it", async () => {
    vi.setSystemTime("2026-11-23T08:00:00Z");
    const page = openPage();
    page.opens = async () => {
      if (Date.now() < Date.parse("2026-11-23T09:00:00Z")) throw new Error("the storage is broken");
    };
    const outbox = page.start();
    outbox.add(completed("one"));
    await vi.advanceTimersByTimeAsync(2 * 3_600_000);
    expect(boxOf(page).drafts).toMatchObject([{ createdAt: "2026-11-23T08:00:00.000Z" }]);
  });

  it("is the same event when it is added twice under one id", async () => {
    const page = openPage();
    const outbox = page.start();
    const id = outbox.add(completed("one"));
    expect(outbox.add({ ...completed("one"), id })).toBe(id);
    await settle();
    expect(boxOf(page).entries).toHaveLength(1);
  });

  it("is not safe when the device can't keep it, though it is saved when it went straight to the server", async () => {
    const page = openPage();
    let direct = false;
    page.opens = async (box) => {
      box.keeps = async () => {
        throw notKept(direct);
      };
    };
    const outbox = page.start();
    outbox.add(completed("one"));
    await settle();
    expect(states(outbox)).toEqual(["unsafe"]);
    expect(outbox.atRisk.value).toBe(1);
    direct = true;
    outbox.sendNow();
    await settle();
    expect(states(outbox)).toEqual(["saved"]);
    expect(outbox.atRisk.value).toBe(0);
  });

  it("is offered to the device again by itself, until it is kept", async () => {
    const page = openPage();
    let full = true;
    page.opens = async (box) => {
      box.keeps = async () => {
        if (full) throw notKept(false);
      };
    };
    const outbox = page.start();
    outbox.add(completed("one"));
    await settle();
    full = false;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(states(outbox)).toEqual(["kept"]);
    expect(boxOf(page).entries).toHaveLength(1);
  });

  it("is told to be too large, rather than tried for ever", async () => {
    const page = openPage();
    page.opens = async (box) => {
      box.keeps = async () => {
        throw new RangeError("too large");
      };
    };
    const outbox = page.start();
    outbox.add(completed("one"));
    await settle();
    expect(outbox.entries.value[0]?.state).toMatchObject({ name: "undeliverable", code: "too_large" });
  });
});

describe("what waits from before", () => {
  it("is there with its words, oldest first, and so is what another tab adds", async () => {
    const page = openPage();
    page.opens = async (box) => {
      box.put(keptDraft("one"));
      box.put(keptDraft("two"));
      box.countAgain();
    };
    const outbox = page.start();
    await settle();
    expect(outbox.entries.value.map(({ says }) => says)).toEqual(["one", "two"]);
    expect(outbox.offlineQueueBacklog.value).toBe(2);
    const box = boxOf(page);
    box.tell({ type: "added", entry: box.put(keptDraft("three")) });
    await settle();
    expect(outbox.openWork.value.map(({ says }) => says)).toEqual(["one", "two", "three"]);
  });

  it("does not come back when its receipt came while it was being read", async () => {
    const page = openPage();
    page.opens = async (box) => {
      const entry = box.put(keptDraft("one"));
      box.waiting = async () => {
        box.receipt(entry.id);
        return [entry];
      };
    };
    const outbox = page.start();
    await settle();
    expect(outbox.openWork.value).toEqual([]);
  });

  it("does not push out what is kept while it is being read", async () => {
    const page = openPage();
    let read = () => {};
    page.opens = async (box) => {
      const { waiting } = box;
      box.waiting = async () => {
        const list = await waiting();
        await new Promise<void>((resolve) => (read = resolve));
        return list;
      };
    };
    const outbox = page.start();
    await settle();
    outbox.add(completed("one"));
    await settle();
    expect(states(outbox)).toEqual(["kept"]);
    read();
    await settle();
    expect(states(outbox)).toEqual(["kept"]);
  });

  it("is counted again when news of another tab was missed", async () => {
    const page = openPage();
    page.opens = async (box) => {
      box.put(keptDraft("one"));
      box.countAgain();
    };
    const outbox = page.start();
    await settle();
    const box = boxOf(page);
    box.entries = [];
    box.countAgain();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(outbox.entries.value).toEqual([]);
  });

  it("goes when its person throws it away, and only then", async () => {
    const page = openPage();
    const outbox = page.start();
    outbox.add(completed("one"));
    await settle();
    expect(await outbox.discardAll()).toBe(1);
    await settle();
    expect(outbox.entries.value).toEqual([]);
    expect(boxOf(page).entries).toEqual([]);
  });
});

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

  it("nobody at all means that no event can be added", () => {
    const page = openPage();
    page.owner.value = undefined;
    const outbox = page.start();
    expect(() => outbox.add(completed("one"))).toThrow(/needs somebody/);
    expect(outbox.status.value).toEqual(NOTHING_KNOWN);
  });
});

describe("a session that ends and comes back", () => {
  it("is noticed by what the lanes say, once, and signing in sends what waited", async () => {
    const page = openPage();
    const outbox = page.start();
    await settle();
    const box = boxOf(page);
    const held = { waiting: 0, oldestAt: undefined, state: { name: "held", why: "signIn" } } as const;
    box.countAgain({ lanes: { ...NOTHING_KNOWN.lanes, progressQueue: held } });
    box.countAgain({ lanes: { ...NOTHING_KNOWN.lanes, progressQueue: held } });
    expect(page.expire).toHaveBeenCalledOnce();
    box.sendNow.mockClear();
    page.signedIn.value = false;
    page.signedIn.value = true;
    expect(box.sendNow).toHaveBeenCalledOnce();
    expect(outbox.entries.value).toEqual([]);
  });

  it("keeps apart who is who by org and user", () => {
    expect(markOf(ADA)).not.toBe(markOf(CAL));
  });
});
