import { describe, expect, it } from "vitest";
import { halfTypedIn } from "./half-typed";
import { keepIn } from "./keep";
import { storageOf } from "./rig";

const open = () => {
  const { memory, storage } = storageOf();
  return { memory, half: () => halfTypedIn(keepIn(() => storage)) };
};

describe("an answer begun and not given", () => {
  it("is there after a reload, for its own person and place", () => {
    const { half } = open();
    half().set("ada", "lesson one", ["b", "c"]);
    expect(half().get("ada", "lesson one")).toEqual(["b", "c"]);
    expect(half().get("cal", "lesson one")).toBeUndefined();
    expect(half().get("ada", "lesson two")).toBeUndefined();
  });

  it("may be no choice at all, which is not the same as nothing begun", () => {
    const { half } = open();
    half().set("ada", "lesson one", []);
    expect(half().get("ada", "lesson one")).toEqual([]);
    half().set("ada", "lesson one", undefined);
    expect(half().get("ada", "lesson one")).toBeUndefined();
  });

  it("goes with its person and leaves nothing of theirs, but all of others", () => {
    const { half, memory } = open();
    half().set("ada", "one", ["a"]);
    half().set("ada", "two", ["b"]);
    half().set("cal", "one", ["c"]);
    half().forget("ada");
    expect([...memory.keys()].filter((key) => key.includes("ada"))).toEqual([]);
    expect(half().get("cal", "one")).toEqual(["c"]);
  });

  it("is nothing where the storage holds something else", () => {
    const { half, memory } = open();
    half().set("ada", "one", ["a"]);
    for (const key of memory.keys()) memory.set(key, "{not json");
    expect(half().get("ada", "one")).toEqual([]);
  });
});
