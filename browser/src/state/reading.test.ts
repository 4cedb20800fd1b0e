import { describe, expect, it } from "vitest";
import { createReadingMeter, type Progress, seenPercent } from "./reading";

function open(percent = 0) {
  let nowMs = 0;
  const said: Progress[] = [];
  const meter = createReadingMeter({
    sessionId: "visit",
    percent,
    elapsed: () => nowMs,
    say: (progress) => said.push(progress),
  });
  return {
    said,
    meter,
    read(seconds: number, seen: number, visible = true) {
      for (let second = 0; second < seconds; second += 1) {
        nowMs += 1_000;
        meter.sample({ visible, seenPercent: seen });
      }
    },
    sleep(seconds: number) {
      nowMs += seconds * 1_000;
    },
  };
}

describe("the reading of a lesson", () => {
  it("is said when it advanced by a tenth", () => {
    const { said, read } = open();
    read(3, 9);
    expect(said).toEqual([]);
    read(2, 12.7);
    expect(said).toEqual([{ percent: 12, positionS: 5, interval: { sessionId: "visit", fromS: 0, toS: 5 } }]);
  });

  it("is said every 30 s, in intervals that meet and never overlap", () => {
    const { said, read } = open();
    read(75, 4);
    expect(said.map(({ interval }) => [interval.fromS, interval.toS])).toEqual([
      [0, 30],
      [30, 60],
    ]);
  });

  it("does not count what only flew past", () => {
    const { said, read } = open();
    read(1, 5);
    read(1, 100);
    read(28, 5);
    expect(said.map(({ percent }) => percent)).toEqual([5]);
  });

  it("does not count a page in the background", () => {
    const { said, read, meter } = open();
    read(60, 80, false);
    meter.left();
    expect(said).toEqual([]);
  });

  it("does not count the hours a device slept", () => {
    const { said, read, sleep, meter } = open();
    read(5, 4);
    sleep(3_600);
    meter.touched();
    read(1, 4);
    meter.left();
    expect(said.map(({ interval }) => interval.toS)).toEqual([7]);
  });

  it("stops counting when nobody has touched anything for a while", () => {
    const { said, read, meter } = open();
    read(600, 4);
    const before = said.length;
    expect(before).toBe(3);
    meter.touched();
    read(40, 4);
    expect(said.length).toBe(before + 1);
  });

  it("never says less than the server has", () => {
    const { said, read } = open(60);
    read(30, 20);
    expect(said).toMatchObject([{ percent: 60 }]);
  });

  it("says on leaving what is left over, and nothing twice", () => {
    const { said, read, meter } = open();
    read(8, 4);
    meter.left();
    meter.left();
    expect(said).toHaveLength(1);
    expect(said[0]?.interval.toS).toBe(8);
  });
});

describe("how much of an article has come into view", () => {
  it("is measured at the lower edge of the window", () => {
    expect(seenPercent({ top: 800, height: 1_000 }, 700)).toBe(0);
    expect(seenPercent({ top: 200, height: 1_000 }, 700)).toBe(50);
    expect(seenPercent({ top: -900, height: 1_000 }, 700)).toBe(100);
    expect(seenPercent({ top: 0, height: 0 }, 700)).toBe(0);
  });
});
