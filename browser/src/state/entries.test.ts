import { describe, expect, it } from "vitest";
import { type Entry, type EntryState, newest, tallyOf, unsavedOf } from "./entries";

const ADA = { userId: "ada", orgId: "tidewater" };
const CAL = { userId: "cal", orgId: "tidewater" };

let minted = 0;
function entry(state: EntryState, owner = ADA, lane: Entry["lane"] = "progressQueue"): Entry {
  minted += 1;
  return {
    id: `event-${minted}`,
    draft: { kind: "lesson.completed", body: { courseId: "course", lessonId: "one" }, says: "" },
    lane,
    owner,
    state,
  };
}

describe("the entries of a page", () => {
  it("show a person the newest of their own, never another person's", () => {
    const first = entry({ name: "refused", reason: "no" });
    const second = entry({ name: "sending" });
    const entries = [first, second, entry({ name: "saved" }, CAL)];
    const any = () => true;
    expect(newest(entries, ADA, "lesson.completed", any)).toBe(second);
    expect(newest(entries, ADA, "quiz.answered", any)).toBeUndefined();
    expect(newest(entries, undefined, "lesson.completed", any)).toBeUndefined();
  });

  it("count as unsaved until a receipt or a refusal, for each person alone", () => {
    const sending = entry({ name: "sending" });
    const waiting = entry({ name: "waiting", dueAtMs: 5, why: "", asked: false });
    const held = entry({ name: "held", why: "anotherPerson" }, CAL);
    const entries = [
      sending,
      waiting,
      held,
      entry({ name: "saved" }),
      entry({ name: "refused", reason: "" }),
    ];
    expect(unsavedOf(entries, ADA)).toEqual([sending, waiting]);
    expect(unsavedOf(entries, CAL)).toEqual([held]);
  });

  it("leave figures about use out of the tally of a learner's work", () => {
    const soon = { name: "waiting", dueAtMs: 5, why: "", asked: false } as const;
    const work = entry({ ...soon, dueAtMs: 9 });
    const tally = tallyOf([entry(soon, ADA, "analyticsQueue"), work]);
    expect(tally.waiting).toEqual([work]);
    expect(tally.nextTryMs).toBe(9);
  });
});
