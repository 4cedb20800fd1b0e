import { describe, expect, it } from "vitest";
import { type Entry, isAtRisk, isOpen, isWork, newest } from "./entries";

const entry = (id: string, body: unknown, state: Entry["state"] = { name: "keeping" }): Entry => ({
  id,
  kind: "lesson.completed",
  body,
  says: id,
  lane: "progressQueue",
  owner: { orgId: "tidewater", userId: "ada" },
  createdAt: "2026-01-01T00:00:00.000Z",
  state,
});

describe("the entries of a page", () => {
  it("are asked for by what they say, and the newest counts", () => {
    const entries = [
      entry("first", { lessonId: "one" }),
      entry("second", { lessonId: "one" }),
      entry("other", { lessonId: "two" }),
    ];
    const found = newest(entries, "lesson.completed", (body) => body.lessonId === "one");
    expect(found?.id).toBe("second");
  });

  it("may come from an older page, whose bodies this one can't read", () => {
    const entries = [entry("odd", undefined), entry("text", "lessonId")];
    expect(newest(entries, "lesson.completed", (body) => body.lessonId === "one")).toBeUndefined();
  });

  it("are open until the server says yes or no", () => {
    expect(isOpen(entry("a", {}, { name: "kept", now: { name: "idle" } }))).toBe(true);
    expect(isOpen(entry("a", {}, { name: "unsafe" }))).toBe(true);
    expect(isOpen(entry("a", {}, { name: "saved" }))).toBe(false);
    expect(isOpen(entry("a", {}, { name: "undeliverable", code: "invalid", reason: "" }))).toBe(false);
  });

  it("are at risk until the device has them", () => {
    expect(isAtRisk(entry("a", {}, { name: "keeping" }))).toBe(true);
    expect(isAtRisk(entry("a", {}, { name: "unsafe" }))).toBe(true);
    expect(isAtRisk(entry("a", {}, { name: "kept", now: { name: "sending" } }))).toBe(false);
  });

  it("are a person's work, but for figures about use", () => {
    expect(isWork({ lane: "progressQueue" })).toBe(true);
    expect(isWork({ lane: "adminQueue" })).toBe(true);
    expect(isWork({ lane: "analyticsQueue" })).toBe(false);
  });
});
