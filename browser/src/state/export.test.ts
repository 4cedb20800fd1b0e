import { describe, expect, it } from "vitest";
import type { Undeliverable } from "../outbox/entry";
import type { Principal } from "../wire/shapes";
import type { Entry } from "./entries";
import { exportName, exportText } from "./export";

const ADA: Principal = {
  userId: "ada",
  orgId: "tidewater",
  orgs: [],
  roles: ["learner"],
  email: "ada@tidewater.example",
  name: "Ada",
};
const AT = "2026-01-02T03:04:05.678Z";
const entry = (id: string, state: Entry["state"]): Entry => ({
  id,
  kind: "lesson.completed",
  body: { courseId: "c", lessonId: id },
  says: id,
  lane: "progressQueue",
  owner: { orgId: "tidewater", userId: "ada" },
  createdAt: AT,
  state,
});

describe("the file of what a device holds", () => {
  it("holds what waits and what was refused, each as it would be sent, and nothing that is saved", () => {
    const refused: Undeliverable = {
      id: "refused",
      entry: {
        id: "refused",
        seq: 1,
        generation: 1,
        version: 1,
        checksum: "",
        lane: "progressQueue",
        kind: "lesson.completed",
        orgId: "tidewater",
        userId: "ada",
        createdAt: AT,
        payload: "{not json any more",
      },
      code: "unknown_lesson",
      reason: "There is no such lesson.",
      since: AT,
    };
    const entries = [
      entry("kept", { name: "kept", now: { name: "idle" } }),
      entry("unsafe", { name: "unsafe" }),
      entry("saved", { name: "saved" }),
    ];
    const text = exportText(ADA, { entries, undeliverable: [refused], losses: [] }, AT);
    const read = JSON.parse(text);
    expect(read.person).toEqual({ userId: "ada", orgId: "tidewater", name: "Ada", email: ADA.email });
    expect(read.waiting.map(({ id, onDevice }: { id: string; onDevice: boolean }) => [id, onDevice])).toEqual(
      [
        ["kept", true],
        ["unsafe", false],
      ],
    );
    expect(read.waiting[0].body).toEqual({ courseId: "c", lessonId: "kept" });
    expect(read.undeliverable[0]).toMatchObject({ code: "unknown_lesson", payload: "{not json any more" });
  });

  it("has a name that every system can store", () => {
    expect(exportName(AT)).toBe("holdfast-2026-01-02T03-04-05.json");
  });
});
