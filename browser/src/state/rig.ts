/** For tests: a page with an outbox that does what the test says, when the test says it. */
import { signal } from "@preact/signals";
import { vi } from "vitest";
import { systemClock } from "../core/clock";
import { idMinter } from "../core/ids";
import {
  type Entry,
  type Draft as Kept,
  type Loss,
  laneOf,
  type Principal,
  type Undeliverable,
} from "../outbox/entry";
import type { News, Outbox, Status } from "../outbox/port";
import type { Draft } from "./entries";
import { keepIn } from "./keep";
import { createOutboxState } from "./outbox";
import { sealedIn } from "./sealed";
import type { Owner } from "./session";
import { NOTHING_KNOWN } from "./watch-outbox";

export const ADA: Owner = { orgId: "tidewater", userId: "ada" };
export const CAL: Owner = { orgId: "tidewater", userId: "cal" };

export const notKept = (sentDirectly: boolean) =>
  Object.assign(new Error("the disk is full"), {
    name: "NotKept",
    sentDirectly: Promise.resolve(sentDirectly),
  });

/** One person's outbox. */
export class FakeOutbox {
  entries: Entry[] = [];
  /** As they were handed over. */
  drafts: Kept[] = [];
  refused: Undeliverable[] = [];
  lost: Loss[] = [];
  status: Status = NOTHING_KNOWN;
  closed = false;
  sendNow = vi.fn();
  beacon = vi.fn();
  /** What adding does; by default it is kept at once. */
  keeps: () => Promise<void> = async () => {};
  listeners = new Set<(news: News) => void>();
  constructor(readonly principal: Principal) {}

  entryOf(draft: Kept): Entry {
    const lane = draft.lane ?? laneOf(draft.kind);
    const seq = this.entries.length + 1;
    const more = { seq, generation: 1, version: 1, checksum: "", createdAt: "2026-01-01T00:00:00.000Z" };
    return { ...draft, ...more, ...this.principal, id: draft.id ?? "", lane };
  }
  tell(news: News): void {
    for (const heard of this.listeners) heard(news);
  }
  /** Another tab keeps something, or an earlier page did. */
  put(draft: Kept): Entry {
    const entry = this.entryOf(draft);
    this.entries.push(entry);
    return entry;
  }
  countAgain(more: Partial<Status> = {}): void {
    const lane = (name: string) => ({
      ...NOTHING_KNOWN.lanes.progressQueue,
      waiting: this.entries.filter((entry) => entry.lane === name).length,
    });
    const lanes = {
      progressQueue: lane("progressQueue"),
      adminQueue: lane("adminQueue"),
      analyticsQueue: lane("analyticsQueue"),
    };
    const backlog = this.entries.length;
    const undeliverable = this.refused.length;
    this.status = { ...NOTHING_KNOWN, lanes, backlog, undeliverable, losses: this.lost.length, ...more };
    this.tell({ type: "status", status: this.status });
  }
  receipt(id: string): void {
    this.entries = this.entries.filter((entry) => entry.id !== id);
    this.tell({ type: "settled", id, lane: "progressQueue", outcome: "accepted" });
    this.countAgain();
  }

  add = async (draft: Kept): Promise<Entry> => {
    this.drafts.push(draft);
    await this.keeps();
    const entry = this.put(draft);
    this.tell({ type: "added", entry });
    this.countAgain();
    return entry;
  };
  waiting = async () => [...this.entries];
  undeliverable = async () => [...this.refused];
  losses = async () => [...this.lost];
  subscribe = (heard: (news: News) => void) => {
    this.listeners.add(heard);
    return () => void this.listeners.delete(heard);
  };
  putAway = async (id: string) => {
    this.refused = this.refused.filter((item) => item.id !== id);
    this.countAgain();
  };
  tryAgain = async (id: string) => {
    const item = this.refused.find((one) => one.id === id);
    if (!item || item.code === "damaged") return false;
    await this.putAway(id);
    this.entries.push(item.entry);
    this.countAgain();
    return true;
  };
  discardAll = async () => {
    const count = this.entries.length;
    this.entries = [];
    this.countAgain();
    return count;
  };
  close = async () => {
    this.closed = true;
  };
}

/** A device that has no room for anything, and no network either. */
export async function keepsNothing(box: FakeOutbox): Promise<void> {
  box.keeps = async () => {
    throw notKept(false);
  };
}

/** A browser's storage, and what lies in it. */
export function storageOf(): { memory: Map<string, string>; storage: Storage } {
  const memory = new Map<string, string>();
  const storage = {
    getItem: (key: string) => memory.get(key) ?? null,
    setItem: (key: string, value: string) => void memory.set(key, value),
    removeItem: (key: string) => void memory.delete(key),
  } as unknown as Storage;
  return { memory, storage };
}

export function openPage() {
  const boxes: FakeOutbox[] = [];
  const { storage } = storageOf();
  const owner = signal<Owner | undefined>(ADA);
  const signedIn = signal(true);
  const onSaved = vi.fn();
  const expire = vi.fn();
  const sealed = sealedIn(keepIn(() => storage));
  const page = {
    boxes,
    owner,
    signedIn,
    onSaved,
    expire,
    sealed,
    /** What opening does first. */
    opens: async (_box: FakeOutbox): Promise<void> => {},
  };
  const start = () =>
    createOutboxState({
      session: { owner, holder: owner, signedIn, expire },
      sealed,
      open: async (principal) => {
        const box = new FakeOutbox(principal);
        await page.opens(box);
        boxes.push(box);
        return box as unknown as Outbox;
      },
      clock: systemClock,
      mintId: idMinter(),
      random: () => 0,
      onSaved,
    });
  return Object.assign(page, { start });
}

export const completed = (lessonId: string): Draft => ({
  kind: "lesson.completed",
  body: { courseId: "course", lessonId },
  says: `“${lessonId}” complete`,
});
export const keptDraft = (lessonId: string): Kept => ({
  id: `id-of-${lessonId}`,
  kind: "lesson.completed",
  payload: JSON.stringify({ courseId: "course", lessonId }),
  label: lessonId,
});
export const settle = () => vi.advanceTimersByTimeAsync(0);
export const states = (outbox: ReturnType<typeof createOutboxState>) =>
  outbox.entries.value.map(({ state }) => state.name);
export const boxOf = (page: ReturnType<typeof openPage>, at = 0): FakeOutbox => {
  const box = page.boxes[at];
  if (!box) throw new Error(`no outbox number ${at} was opened`);
  return box;
};
