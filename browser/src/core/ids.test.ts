import { describe, expect, it } from "vitest";
import { idMinter } from "./ids";

const LAYOUT = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const millisOf = (id: string) => Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);

describe("an event's id", () => {
  it("has the layout of a UUIDv7: version 7, variant 10, the time in front", () => {
    const nowMs = Date.UTC(2031, 4, 6, 7, 8, 9, 10);
    const id = idMinter(() => nowMs)();
    expect(id).toMatch(LAYOUT);
    expect(millisOf(id)).toBe(nowMs);
  });

  it("is always greater than the one before, however many fall into one millisecond", () => {
    const mint = idMinter(() => 1_700_000_000_000);
    const ids = Array.from({ length: 10_000 }, mint);
    expect(new Set(ids).size).toBe(ids.length);
    expect([...ids].sort()).toEqual(ids);
    for (const id of ids) expect(id).toMatch(LAYOUT);
  });

  it("keeps counting up when the device's clock is set back", () => {
    let nowMs = 1_700_000_000_000;
    const mint = idMinter(() => nowMs);
    const before = mint();
    nowMs -= 3_600_000;
    const after = mint();
    expect(after > before).toBe(true);
    expect(millisOf(after)).toBe(1_700_000_000_000);
  });

  it("differs between two devices that mint in the same millisecond", () => {
    const now = () => 1_700_000_000_000;
    expect(idMinter(now)()).not.toBe(idMinter(now)());
  });
});
