import { describe, expect, it } from "vitest";
import { askedWaitMs, waitMs } from "./backoff";

describe("the wait before the next attempt", () => {
  it("is at least 1 s and at most 5 min, whatever the dice say", () => {
    for (const attempt of [1, 2, 5, 12, 1_000]) {
      expect(waitMs(attempt, () => 0)).toBe(1_000);
      expect(waitMs(attempt, () => 0.999_999)).toBeLessThanOrEqual(300_000);
    }
    expect(waitMs(1_000, () => 1)).toBe(300_000);
  });

  it("may be longer after each failure", () => {
    const longest = [1, 2, 3, 4].map((attempt) => waitMs(attempt, () => 1));
    expect(longest).toEqual([2_000, 4_000, 8_000, 16_000]);
  });

  it("is never shorter than the server asked, nor longer than an hour and a quarter", () => {
    expect(askedWaitMs(30, () => 0)).toBe(30_000);
    expect(askedWaitMs(30, () => 1)).toBe(37_500);
    expect(askedWaitMs(0, () => 0)).toBe(1_000);
    expect(askedWaitMs(1e9, () => 1)).toBe(4_500_000);
  });
});
