import { describe, expect, it } from "vitest";
import { keepIn } from "./keep";
import { createScreen } from "./screen";

function tab() {
  const memory = new Map<string, string>();
  return keepIn(
    () =>
      ({
        getItem: (key: string) => memory.get(key) ?? null,
        setItem: (key: string, value: string) => void memory.set(key, value),
        removeItem: (key: string) => void memory.delete(key),
      }) as Storage,
  );
}

describe("what a reload would wipe off the screen", () => {
  it("is given back at the same address, each thing once", () => {
    const keep = tab();
    const before = createScreen(keep, () => "/a");
    before.rememberScreen("scroll", () => 120);
    before.rememberScreen("chosen", () => ["x"]);
    before.save();
    const after = createScreen(keep, () => "/a");
    expect(after.restored("scroll")).toBe(120);
    expect(after.restored("scroll")).toBeUndefined();
    expect(after.restored("chosen")).toEqual(["x"]);
    // A reload of the person's own starts afresh.
    expect(createScreen(keep, () => "/a").restored("chosen")).toBeUndefined();
  });

  it("is not given to another page", () => {
    const keep = tab();
    const before = createScreen(keep, () => "/a");
    before.rememberScreen("scroll", () => 120);
    before.save();
    expect(createScreen(keep, () => "/b").restored("scroll")).toBeUndefined();
  });

  it("holds only what is still there, and a reader that fails loses its own only", () => {
    const keep = tab();
    const before = createScreen(keep, () => "/a");
    before.rememberScreen("gone", () => 1)();
    before.rememberScreen("fails", () => {
      throw new Error("no such element");
    });
    before.rememberScreen("stays", () => 2);
    before.save();
    const after = createScreen(keep, () => "/a");
    expect(["gone", "fails", "stays"].map((name) => after.restored(name))).toEqual([undefined, undefined, 2]);
  });

  it("is nothing where what was kept can't be read", () => {
    const keep = tab();
    for (const text of ["{", "null", '{"address":"/a","values":3}', '"/a"']) {
      keep.set("holdfast.screen", text);
      expect(createScreen(keep, () => "/a").restored("scroll")).toBeUndefined();
    }
  });
});
