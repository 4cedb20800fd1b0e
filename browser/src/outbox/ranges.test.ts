import { describe, expect, it } from "vitest";
import { type Ranges, rangesOf, union, without } from "./ranges";

const numbersIn = (ranges: Ranges): number[] =>
  ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, at) => from + at));

/** Numbers below 40, each in or not by one bit of the seed's stream. */
function drawn(seed: number): number[] {
  let state = seed;
  return Array.from({ length: 40 }, (_, at) => at).filter(() => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state > 0x8000_0000;
  });
}

describe("ranges of numbers", () => {
  it("join where they touch or overlap", () => {
    expect(rangesOf([3, 1, 2, 7, 7])).toEqual([
      [1, 3],
      [7, 7],
    ]);
    expect(
      union(
        [[1, 3]],
        [
          [4, 5],
          [2, 2],
        ],
      ),
    ).toEqual([[1, 5]]);
  });

  it("leave what the others do not cover", () => {
    expect(
      without(
        [[1, 10]],
        [
          [3, 4],
          [9, 12],
        ],
      ),
    ).toEqual([
      [1, 2],
      [5, 8],
    ]);
    expect(without([[1, 2]], [[1, 5]])).toEqual([]);
    expect(without([[5, 6]], [])).toEqual([[5, 6]]);
  });

  it("are sets: whatever is drawn, union and difference hold the same numbers as sets do", () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const [one, other] = [drawn(seed), drawn(seed * 7_919)];
      const both = [...new Set([...one, ...other])].sort((a, b) => a - b);
      expect(numbersIn(union(rangesOf(one), rangesOf(other)))).toEqual(both);
      expect(numbersIn(without(rangesOf(one), rangesOf(other)))).toEqual(
        one.filter((number) => !other.includes(number)),
      );
    }
  });
});
