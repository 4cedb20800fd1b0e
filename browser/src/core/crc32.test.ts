import { describe, expect, it } from "vitest";
import { crc32 } from "./crc32";

describe("the checksum of a body", () => {
  it("agrees with the vectors everybody else computes", () => {
    expect(crc32("123456789")).toBe("cbf43926");
    expect(crc32("")).toBe("00000000");
    expect(crc32("a")).toBe("e8b7be43");
    expect(crc32("The quick brown fox jumps over the lazy dog")).toBe("414fa339");
  });

  it("is taken over UTF-8 bytes, not over UTF-16 units", () => {
    expect(crc32("ä€🙂")).toBe("e8c8881a");
  });

  it("goes on where an earlier text ended", () => {
    expect(crc32("6789", crc32("12345"))).toBe("cbf43926");
    expect(crc32("456789", crc32("", crc32("123")))).toBe("cbf43926");
  });

  it("keeps its leading zeros", () => {
    expect(crc32('{"n":108}')).toBe("0007d401");
  });
});
