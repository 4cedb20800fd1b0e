import { signal } from "@preact/signals";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { unreachable } from "../core/problem";
import type { Assigning } from "../wire/admin";
import type { Answer } from "../wire/client";
import { type AssigningPorts, followAssigning } from "./admin-assigning";
import type { Draft, Entry, EntryState } from "./entries";
import { keepIn } from "./keep";

const OWNER = { orgId: "tide", userId: "ben" };
const KEPT: EntryState = { name: "kept", now: { name: "sending" } };
const unknown: Answer<Assigning> = {
  ok: false,
  problem: { ...unreachable("no such event"), family: "refused", status: 404 },
};

function school(memory = new Map<string, string>()) {
  const entries = signal<readonly Entry[]>([]);
  const ready = signal(true);
  const assigning = vi.fn<AssigningPorts["calls"]["assigning"]>(async () => unknown);
  const storage = {
    getItem: (key: string) => memory.get(key) ?? null,
    setItem: (key: string, value: string) => void memory.set(key, value),
    removeItem: (key: string) => void memory.delete(key),
  } as Storage;
  const onApplied = vi.fn();
  let minted = 0;
  const state = followAssigning({
    outbox: {
      entries,
      ready,
      add(draft: Draft) {
        minted += 1;
        const { kind, body, says } = draft;
        const id = `id-${minted}`;
        const createdAt = new Date(systemClock.now()).toISOString();
        const entry = { id, kind, body, says, lane: "adminQueue", owner: OWNER, createdAt, state: KEPT };
        entries.value = [...entries.value, entry as Entry];
        return id;
      },
    },
    calls: { assigning },
    clock: systemClock,
    keep: keepIn(() => storage),
    owner: OWNER,
    onApplied,
  });
  const become = (id: string, next: EntryState) => {
    entries.value = entries.value.map((entry) => (entry.id === id ? { ...entry, state: next } : entry));
  };
  return { ...state, entries, ready, assigning, onApplied, become, memory };
}

const says = (word: Partial<Assigning>): Answer<Assigning> => ({
  ok: true,
  value: { id: "id-1", state: "waiting", ...word },
});
const GIT = { courseId: "git", courseTitle: "Git", userIds: ["ada", "abe"] };
const moments = (state: ReturnType<typeof school>) => state.acts.value.map(({ moment }) => moment);

describe("an assignment", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is one entry, with its due time and note only where they are set", () => {
    const tide = school();
    tide.assign({ ...GIT, dueAt: "2031-01-01T00:00:00Z", note: "" });
    tide.unassign(GIT);
    expect(tide.entries.value.map(({ kind, body, says }) => [kind, body, says])).toEqual([
      [
        "course.assigned",
        { courseId: "git", userIds: ["ada", "abe"], dueAt: "2031-01-01T00:00:00Z" },
        "Git for 2 learners",
      ],
      ["course.unassigned", { courseId: "git", userIds: ["ada", "abe"] }, "Git taken from 2 learners"],
    ]);
  });

  it("is on this device, then sent, then applied, and never called one before it is so", async () => {
    const tide = school();
    const stop = tide.follow();
    tide.assign(GIT);
    expect(moments(tide)).toEqual([{ name: "here", state: KEPT }]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(tide.assigning).not.toHaveBeenCalled();

    tide.assigning.mockResolvedValue(says({ state: "waiting" }));
    tide.become("id-1", { name: "saved" });
    expect(moments(tide)).toEqual([{ name: "sent" }]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(moments(tide)).toEqual([{ name: "sent" }]);
    expect(tide.onApplied).not.toHaveBeenCalled();

    const refused = [{ userId: "cleo", reason: "not an active member of this org" }];
    tide.assigning.mockResolvedValue(says({ state: "applied", changed: 1, already: 1, refused }));
    await vi.advanceTimersByTimeAsync(15_000);
    expect(moments(tide)).toEqual([{ name: "applied", changed: 1, already: 1, refused }]);
    expect(tide.onApplied).toHaveBeenCalledTimes(1);

    const asked = tide.assigning.mock.calls.length;
    await vi.advanceTimersByTimeAsync(600_000);
    expect(tide.assigning).toHaveBeenCalledTimes(asked);
    stop();
  });

  it("is asked about again while the server can't be reached", async () => {
    const tide = school();
    const stop = tide.follow();
    tide.assign(GIT);
    tide.assigning.mockResolvedValue({ ok: false, problem: unreachable("gone") });
    tide.become("id-1", { name: "saved" });
    await vi.advanceTimersByTimeAsync(600_000);
    expect(moments(tide)).toEqual([{ name: "sent" }]);
    tide.assigning.mockResolvedValue(
      says({ state: "parked", code: "forbidden", reason: "no admin any more" }),
    );
    await vi.advanceTimersByTimeAsync(15_000);
    expect(moments(tide)).toEqual([{ name: "parked", reason: "no admin any more" }]);
    stop();
  });

  it("that was parked is asked about now and then, for an operator may send it through again", async () => {
    const tide = school();
    const stop = tide.follow();
    tide.assign(GIT);
    tide.assigning.mockResolvedValue(says({ state: "parked", reason: "no such course" }));
    tide.become("id-1", { name: "saved" });
    await vi.advanceTimersByTimeAsync(600_000);
    expect(moments(tide)).toEqual([{ name: "parked", reason: "no such course" }]);
    expect(tide.assigning.mock.calls.length).toBeLessThan(13);
    tide.assigning.mockResolvedValue(says({ state: "applied", changed: 2, already: 0 }));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(moments(tide)).toEqual([{ name: "applied", changed: 2, already: 0, refused: [] }]);
    expect(tide.onApplied).toHaveBeenCalledOnce();
    const asked = tide.assigning.mock.calls.length;
    await vi.advanceTimersByTimeAsync(600_000);
    expect(tide.assigning).toHaveBeenCalledTimes(asked);
    stop();
  });

  it("that was parked and is taken off the list is not asked about any more", async () => {
    const tide = school();
    const stop = tide.follow();
    tide.assign(GIT);
    tide.assigning.mockResolvedValue(says({ state: "parked", reason: "no such course" }));
    tide.become("id-1", { name: "saved" });
    tide.entries.value = [];
    await vi.advanceTimersByTimeAsync(0);
    tide.forget("id-1");
    const asked = tide.assigning.mock.calls.length;
    await vi.advanceTimersByTimeAsync(600_000);
    expect(tide.assigning).toHaveBeenCalledTimes(asked);
    stop();
  });

  it("that was seen is off the list, in the tab that made it as well, which still holds its saved entry", async () => {
    const tide = school();
    const stop = tide.follow();
    tide.assign(GIT);
    tide.assigning.mockResolvedValue(says({ state: "applied", changed: 2, already: 0 }));
    tide.become("id-1", { name: "saved" });
    await vi.advanceTimersByTimeAsync(0);
    expect(moments(tide)).toMatchObject([{ name: "applied" }]);
    tide.forget("id-1");
    expect(moments(tide)).toEqual([]);
    expect([...tide.seen.value]).toEqual(["id-1"]);
    const asked = tide.assigning.mock.calls.length;
    await vi.advanceTimersByTimeAsync(600_000);
    expect(tide.assigning).toHaveBeenCalledTimes(asked);

    // Off the list it was only as it stood: what waits on this device again is shown again.
    tide.become("id-1", KEPT);
    tide.assigning.mockResolvedValue(unknown);
    expect(tide.acts.value.map(({ id }) => id)).toEqual(["id-1"]);
    stop();
  });

  it("that was parked is asked about again when somebody comes back to these pages", async () => {
    const tide = school();
    const leave = tide.follow();
    tide.assign(GIT);
    tide.assigning.mockResolvedValue(says({ state: "parked", reason: "no such course" }));
    tide.become("id-1", { name: "saved" });
    await vi.advanceTimersByTimeAsync(0);
    leave();
    tide.assigning.mockResolvedValue(says({ state: "applied", changed: 2, already: 0 }));
    await vi.advanceTimersByTimeAsync(600_000);
    expect(moments(tide)).toEqual([{ name: "parked", reason: "no such course" }]);

    const stop = tide.follow();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(moments(tide)).toEqual([{ name: "applied", changed: 2, already: 0, refused: [] }]);
    stop();
  });

  it("is remembered after a reload, and called neither sent nor lost before the device was read", async () => {
    const before = school();
    before.assign(GIT);

    const after = school(before.memory);
    after.ready.value = false;
    const stop = after.follow();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(moments(after)).toEqual([{ name: "asking" }]);
    expect(after.assigning).not.toHaveBeenCalled();

    after.entries.value = before.entries.value;
    after.ready.value = true;
    expect(moments(after)).toEqual([{ name: "here", state: KEPT }]);

    // Another tab sent it, and the outbox has let it go.
    after.assigning.mockResolvedValue(says({ state: "applied", changed: 2, already: 0 }));
    after.entries.value = [];
    expect(moments(after)).toEqual([{ name: "asking" }]);
    await vi.advanceTimersByTimeAsync(0);
    expect(moments(after)).toEqual([{ name: "applied", changed: 2, already: 0, refused: [] }]);
    stop();
  });

  it("that was thrown away before it was sent is called gone, not sent", async () => {
    const tide = school();
    const stop = tide.follow();
    tide.assign(GIT);
    tide.entries.value = [];
    await vi.advanceTimersByTimeAsync(1_000);
    expect(moments(tide)).toEqual([{ name: "gone" }]);
    tide.forget("id-1");
    expect(moments(tide)).toEqual([]);
    expect(school(tide.memory).acts.value).toEqual([]);
    stop();
  });

  it("of another page is shown as well, and what is remembered wrongly breaks nothing", () => {
    for (const text of ["", "nonsense", "{}", '[null, 1, {"id": 1}]']) {
      expect(school(new Map([["holdfast.assigning tide ben", text]])).acts.value).toEqual([]);
    }
    const tide = school();
    const other = school();
    other.assign(GIT);
    tide.entries.value = other.entries.value;
    expect(tide.acts.value).toMatchObject([{ courseTitle: "Git", learners: 2, moment: { name: "here" } }]);
  });
});
