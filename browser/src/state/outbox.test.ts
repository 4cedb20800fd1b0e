import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  ADA,
  boxOf,
  CAL,
  completed,
  keepsNothing,
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

  it("is offered to the device again once in a while, however much is not safe", async () => {
    const page = openPage();
    page.opens = keepsNothing;
    const outbox = page.start();
    for (const lesson of ["one", "two", "three"]) outbox.add(completed(lesson));
    await settle();
    expect(boxOf(page).drafts).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(boxOf(page).drafts).toHaveLength(3 + 3 * 3);
    expect(vi.getTimerCount()).toBe(1);
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

  it("is not all known while the device keeps nothing: what lies aside is not read out", async () => {
    const page = openPage();
    const outbox = page.start();
    await settle();
    expect(outbox.isAllKnown.value).toBe(true);
    boxOf(page).countAgain({ storage: "unsafe" });
    expect(outbox.ready.value).toBe(true);
    expect(outbox.isAllKnown.value).toBe(false);
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
