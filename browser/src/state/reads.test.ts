import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { type Problem, unreachable } from "../core/problem";
import type { Calls } from "../wire/calls";
import type { Answer } from "../wire/client";
import type { CourseList } from "../wire/shapes";
import { createReads } from "./reads";

const list = (asOf: string): Answer<CourseList> => ({ ok: true, value: { items: [] }, asOf });
const failed = (problem: Problem): Answer<CourseList> => ({ ok: false, problem });
const settle = () => vi.advanceTimersByTimeAsync(0);

function open() {
  const courses = vi.fn(async () => list("first"));
  const onSignedOut = vi.fn();
  const reads = createReads({ courses } as unknown as Calls, systemClock, onSignedOut);
  return { courses, onSignedOut, reads };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("what the server last said", () => {
  it("stays in sight, with the reason, when a newer answer does not come", async () => {
    const { courses, reads } = open();
    const read = reads.courses();
    await read.load();
    courses.mockResolvedValueOnce(failed(unreachable("no answer")));
    await read.load();
    expect(read.shown.value).toMatchObject({
      asOf: "first",
      problem: { family: "unreachable" },
    });
  });

  it("is asked for again when the server is back, where the device answered in its place", async () => {
    const { courses, reads } = open();
    courses.mockResolvedValueOnce({ ...list("yesterday"), fromDevice: true } as Answer<CourseList>);
    const read = reads.courses();
    const leave = reads.watch(read);
    await settle();
    expect(read.shown.value).toMatchObject({ asOf: "yesterday", fromDevice: true });
    reads.retryFailed();
    await settle();
    expect(read.shown.value).toEqual({ value: { items: [] }, asOf: "first", loading: false });
    reads.retryFailed();
    expect(courses).toHaveBeenCalledTimes(2);
    leave();
  });

  it("is asked for again by itself, ever later, while there is nothing to show on screen", async () => {
    const { courses, reads } = open();
    courses.mockResolvedValue(failed(unreachable("no answer")));
    const leave = reads.watch(reads.courses());
    await vi.advanceTimersByTimeAsync(120_000);
    expect(courses).toHaveBeenCalledTimes(5);
    await reads.courses().load();
    courses.mockResolvedValue(list("first"));
    await vi.advanceTimersByTimeAsync(120_000);
    expect(courses).toHaveBeenCalledTimes(6);
    leave();

    const left = open();
    left.courses.mockResolvedValueOnce(failed(unreachable("no answer")));
    left.reads.watch(left.reads.courses())();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(left.courses).toHaveBeenCalledTimes(1);
  });

  it("is not replaced by an older answer that comes late", async () => {
    const { courses, reads } = open();
    const read = reads.courses();
    let late: (answer: Answer<CourseList>) => void = () => {};
    const slow = new Promise<Answer<CourseList>>((resolve) => {
      late = resolve;
    });
    courses.mockReturnValueOnce(slow as ReturnType<typeof courses>);
    const first = read.load();
    courses.mockResolvedValueOnce(list("newer"));
    await read.load();
    late(list("older"));
    await first;
    expect(read.shown.value.asOf).toBe("newer");
  });

  it("is looked at again some moments after a receipt, but only what is on screen", async () => {
    const { courses, reads } = open();
    const leave = reads.watch(reads.courses());
    await settle();
    reads.lookAgainSoon();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(courses).toHaveBeenCalledTimes(3);
    leave();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(courses).toHaveBeenCalledTimes(3);
  });

  it("is looked at also minutes after a receipt, for what was taken may be applied late", async () => {
    const { courses, reads } = open();
    reads.watch(reads.courses());
    reads.lookAgainSoon();
    await vi.advanceTimersByTimeAsync(30_000);
    courses.mockClear();
    await vi.advanceTimersByTimeAsync(120_000 - 30_000);
    expect(courses).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(600_000 - 120_000);
    expect(courses).toHaveBeenCalledTimes(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is not shown to the next person", async () => {
    const { reads } = open();
    await reads.courses().load();
    reads.forget();
    expect(reads.courses().shown.value.value).toBeUndefined();
  });

  it("asks for a new sign-in when the server no longer knows the session", async () => {
    const { courses, onSignedOut, reads } = open();
    courses.mockResolvedValueOnce(failed({ ...unreachable(""), family: "signIn", status: 401 }));
    await reads.courses().load();
    expect(onSignedOut).toHaveBeenCalledOnce();
  });
});
