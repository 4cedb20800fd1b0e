import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Loss, Undeliverable } from "../outbox/entry";
import { boxOf, completed, keptDraft, openPage, settle } from "./rig";
import { standingOf } from "./standing";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const refusalOf = (entry: Undeliverable["entry"]): Undeliverable => ({
  id: entry.id,
  entry,
  code: "unknown_lesson",
  reason: "There is no such lesson.",
  since: "2026-01-01T00:00:00.000Z",
});

const LOSS: Loss = {
  id: "loss",
  generation: 1,
  missing: [[3, 4]],
  cause: "Records are missing.",
  noticedAt: "2026-01-01T00:00:00.000Z",
  told: true,
};

describe("where everything stands", () => {
  it("is called all on the server only once what waited from before has been read", async () => {
    const page = openPage();
    let opened = () => {};
    page.opens = () => new Promise((resolve) => (opened = resolve));
    const outbox = page.start();
    await settle();
    expect(standingOf(outbox)).toEqual({ name: "looking" });
    opened();
    await settle();
    expect(standingOf(outbox)).toEqual({ name: "onServer" });
  });

  it("counts what waits, and forgets it with its receipt", async () => {
    const page = openPage();
    const outbox = page.start();
    const id = outbox.add(completed("one"));
    await settle();
    expect(standingOf(outbox)).toEqual({ name: "waiting", count: 1 });
    boxOf(page).receipt(id);
    await settle();
    expect(standingOf(outbox)).toEqual({ name: "onServer" });
  });

  it("is never all on the server while the server will not have something, until that is put away", async () => {
    const page = openPage();
    page.opens = async (box) => {
      box.refused = [refusalOf(box.entryOf(keptDraft("one")))];
    };
    const outbox = page.start();
    await settle();
    expect(standingOf(outbox)).toEqual({ name: "refused", count: 1 });
    await outbox.putAway("id-of-one");
    await settle();
    expect(standingOf(outbox)).toEqual({ name: "onServer" });
  });

  it("is not troubled by figures about use that were refused", async () => {
    const page = openPage();
    page.opens = async (box) => {
      box.refused = [refusalOf(box.entryOf({ ...keptDraft("one"), kind: "analytics.recorded" }))];
    };
    const outbox = page.start();
    await settle();
    expect(standingOf(outbox)).toEqual({ name: "onServer" });
  });

  it("is never all on the server on a device that lost something", async () => {
    const page = openPage();
    page.opens = async (box) => {
      box.lost = [LOSS];
    };
    const outbox = page.start();
    await settle();
    expect(standingOf(outbox)).toEqual({ name: "lost" });
  });

  it("is not safe while the device keeps nothing, whatever else is known", async () => {
    const page = openPage();
    page.opens = () => Promise.reject(new Error("broken"));
    const outbox = page.start();
    await settle();
    expect(standingOf(outbox)).toEqual({ name: "unsafe" });
  });
});
