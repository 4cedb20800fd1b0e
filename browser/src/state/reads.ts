/**
 * What the server last said about courses and lessons. Nothing a learner does is added in here: a page
 * lays the entries' own states beside it, so that the two are never taken for one another.
 */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Clock } from "../core/clock";
import type { Problem } from "../core/problem";
import type { Calls } from "../wire/calls";
import type { Answer } from "../wire/client";
import type { Course, CourseList, Lesson } from "../wire/shapes";

export interface Shown<T> {
  value?: T;
  /** How old the value is, as the server said. */
  asOf?: string;
  /** The server did not answer: this is what the device holds. */
  fromDevice?: true;
  /** Why the last attempt brought nothing. The value of an earlier one stays beside it. */
  problem?: Problem;
  loading: boolean;
}

export interface Read<T> {
  readonly shown: ReadonlySignal<Shown<T>>;
  load(): Promise<void>;
}

/** The moments to look again where nothing could be shown. */
const LOOK_AGAIN_AFTER_MS = [1_000, 3_000, 9_000, 30_000];
/** Receipts come before the rows are written, mostly by moments, and by minutes where applying lags. */
const LOOK_AFTER_RECEIPT_MS = [...LOOK_AGAIN_AFTER_MS, 2 * 60_000, 10 * 60_000];

export type Reads = ReturnType<typeof createReads>;

export function createReads(calls: Calls, clock: Clock, onSignedOut: () => void) {
  const known = new Map<string, Read<unknown>>();
  const onScreen = new Set<Read<unknown>>();
  let cancelLooks: (() => void)[] = [];

  function open<T>(key: string, ask: () => Promise<Answer<T>>): Read<T> {
    const before = known.get(key);
    if (before) return before as Read<T>;
    const shown = signal<Shown<T>>({ loading: false });
    let asked = 0;
    let failures = 0;
    const read: Read<T> = {
      shown,
      async load() {
        asked += 1;
        const mine = asked;
        shown.value = { ...shown.peek(), loading: true };
        const answer = await ask();
        // Answers may overtake each other: only the last question's counts.
        if (mine !== asked) return;
        if (answer.ok) {
          failures = 0;
          const { value, asOf, fromDevice } = answer;
          shown.value = {
            value,
            ...(asOf !== undefined && { asOf }),
            ...(fromDevice && { fromDevice }),
            loading: false,
          };
        } else {
          const { problem } = answer;
          shown.value = { ...shown.peek(), problem, loading: false };
          if (problem.family === "signIn") onSignedOut();
          else if (problem.family !== "refused") lookAgain();
        }
      },
    };
    known.set(key, read);
    return read;

    /** A page that has nothing to show does not wait for somebody to press: the device may have it a moment later. */
    function lookAgain(): void {
      const ms = LOOK_AGAIN_AFTER_MS[failures];
      if (ms === undefined || shown.peek().value !== undefined) return;
      failures += 1;
      clock.after(ms, () => {
        const { value, loading } = shown.peek();
        if (onScreen.has(read) && value === undefined && !loading) void read.load();
      });
    }
  }

  return {
    /** A read of any other call; the same key is the same read until somebody else is here. */
    of: open,

    courses: (): Read<CourseList> => open("courses", calls.courses),

    course: (courseId: string): Read<Course> => open(`course ${courseId}`, () => calls.course(courseId)),

    lesson: (courseId: string, lessonId: string): Read<Lesson> =>
      open(`lesson ${courseId} ${lessonId}`, () => calls.lesson(courseId, lessonId)),

    /** Loads what a page shows, and keeps it fresh until the answer is called. */
    watch(read: Read<unknown>): () => void {
      onScreen.add(read);
      void read.load();
      return () => void onScreen.delete(read);
    },

    lookAgainSoon(): void {
      for (const cancel of cancelLooks) cancel();
      cancelLooks = LOOK_AFTER_RECEIPT_MS.map((ms) =>
        clock.after(ms, () => {
          for (const read of onScreen) void read.load();
        }),
      );
    },

    /** The server answers, or somebody signed in again. What it refused stays refused. */
    retryFailed(): void {
      for (const read of onScreen) {
        const { problem, fromDevice, loading } = read.shown.peek();
        const failed = fromDevice || (problem && problem.family !== "refused");
        if (failed && !loading) void read.load();
      }
    },

    /** Reads everything on screen anew, for example through a worker that was not here before. */
    lookAgainNow(): void {
      for (const read of onScreen) void read.load();
    },

    /** Somebody else is here now: nothing read for the one before may be shown. */
    forget(): void {
      for (const cancel of cancelLooks) cancel();
      known.clear();
    },
  };
}
