import { describe, expect, it } from "vitest";
import { keepIn } from "./keep";
import { storageOf } from "./rig";
import { sealedIn } from "./sealed";

const SINCE = "2026-01-01T00:00:00.000Z";

describe("what lies sealed on a device", () => {
  it("is counted for each person, until that person is back", () => {
    const { storage } = storageOf();
    const sealed = sealedIn(keepIn(() => storage));
    sealed.note("tidewater ada", { count: 3, since: SINCE });
    sealed.note("tidewater cal", { count: 1, since: SINCE });
    expect(sealed.all.value.map(({ count }) => count)).toEqual([3, 1]);
    sealed.note("tidewater ada", undefined);
    expect(sealed.all.value.map(({ count }) => count)).toEqual([1]);
  });

  it("is still told after a restart", () => {
    const { storage } = storageOf();
    sealedIn(keepIn(() => storage)).note("tidewater ada", { count: 3, since: SINCE });
    expect(sealedIn(keepIn(() => storage)).all.value).toEqual([{ count: 3, since: SINCE }]);
  });

  it("is nothing where the storage holds something else", () => {
    const { storage } = storageOf();
    for (const text of ["{broken", "null", '{"a":{"count":"many"}}', '["x"]']) {
      storage.setItem("holdfast.sealed", text);
      expect(sealedIn(keepIn(() => storage)).all.value).toEqual([]);
    }
  });
});
