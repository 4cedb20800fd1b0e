/**
 * One person's outbox as the page follows it: every entry with its present state, as signals.
 *
 * An event that comes before the outbox is open waits for it, and is shown as "being kept" meanwhile:
 * never lost while the page lives, and never called kept before the outbox said so.
 */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { waitMs } from "../core/backoff";
import type { Clock } from "../core/clock";
import {
  type Entry as KeptEntry,
  type Lane,
  type Loss,
  laneOf,
  type Principal,
  type Undeliverable,
} from "../outbox/entry";
import type { LaneStatus, News, NotKept, Outbox, Status } from "../outbox/port";
import { type Draft, type Entry, type EntryState, isAtRisk, isWork } from "./entries";

export interface WatchParts {
  /** Resolves once the outbox is hydrated; may be called again after it failed. */
  open: (principal: Principal) => Promise<Outbox>;
  clock: Clock;
  mintId: () => string;
  random: () => number;
  /** Told after receipts have saved something: what the server reads out will change soon. */
  onSaved: () => void;
}

export type OutboxWatch = ReturnType<typeof watchOutbox>;

/** Saved entries stay only so that a page can still say "saved"; a long evening must not fill the memory. */
const SAVED_KEPT = 200;
/** News from another tab may have been missed; this long a difference in the counts is looked into. */
const RECOUNT_AFTER_MS = 1_000;

const IDLE: LaneStatus = { waiting: 0, oldestAt: undefined, state: { name: "idle" } };
export const NOTHING_KNOWN: Status = {
  storage: "safe",
  lanes: { progressQueue: IDLE, adminQueue: IDLE, analyticsQueue: IDLE },
  backlog: 0,
  undeliverable: 0,
  losses: 0,
  sendsHere: false,
};

type Stage =
  | { name: "keeping" | "unsafe" | "kept" | "saved" }
  | { name: "undeliverable"; code: string; reason: string; hint?: string };
interface Known extends Omit<Entry, "state" | "owner"> {
  stage: Stage;
}

export function watchOutbox(owner: Principal, parts: WatchParts) {
  const { clock, mintId, random, onSaved } = parts;
  const known = new Map<string, Known>();
  const changes = signal(0);
  const status = signal(NOTHING_KNOWN);
  const undeliverable = signal<readonly Undeliverable[]>([]);
  const losses = signal<readonly Loss[]>([]);
  const ready = signal(false);
  const openFailed = signal(false);
  /** Receipts heard while the first list is still being read. */
  const settledEarly = new Set<string>();
  const adding = new Set<Promise<void>>();
  let opening: Promise<Outbox> | undefined;
  let opened: Outbox | undefined;
  let closed = false;
  let tries = 0;
  let stopHearing = () => {};
  let recountPlanned = false;
  let againPlanned = false;
  let timesHeard = 0;
  let changed = false;
  let saved = false;

  const entries: ReadonlySignal<readonly Entry[]> = computed(() => {
    changes.value;
    const { lanes } = status.value;
    return [...known.values()].map(({ stage, ...one }) => ({
      ...one,
      owner,
      state: stateOf(stage, lanes[one.lane].state, openFailed.value),
    }));
  });

  const box: Promise<Outbox> = openBox();
  // A watch that is closed before it ever opened is nobody's failure.
  box.catch(() => {});

  async function openBox(): Promise<Outbox> {
    for (let attempt = 1; !closed; attempt += 1) {
      try {
        opening = parts.open(owner);
        const there = await opening;
        // Whoever closed the watch meanwhile waits for it, and closes it.
        if (closed) break;
        opened = there;
        openFailed.value = false;
        stopHearing = opened.subscribe(heard);
        status.value = opened.status;
        void hydrate(opened, 1);
        return opened;
      } catch {
        openFailed.value = true;
        await after(waitMs(attempt, random));
      }
    }
    throw new Error("the page has moved on to another outbox");
  }

  /** Storage that can't be read now must not keep events out: those go straight to the server. */
  async function hydrate(from: Outbox, attempt: number): Promise<void> {
    try {
      await recount(from);
      settledEarly.clear();
      ready.value = true;
    } catch {
      await after(waitMs(attempt, random));
      if (!closed) await hydrate(from, attempt + 1);
    }
  }

  const after = (ms: number) => new Promise<void>((resolve) => void clock.after(ms, resolve));

  /** Reads the lists anew; for the start, and for when a count shows that news was missed. */
  async function recount(from: Outbox): Promise<void> {
    // What is kept while the lists are being read may be missing from them, and is there all the same.
    const heardBefore = timesHeard;
    const before = [...known.values()].filter(({ stage }) => HELD.has(stage.name)).map(({ id }) => id);
    const [waits, refused, lost] = await Promise.all([from.waiting(), from.undeliverable(), from.losses()]);
    const there = new Set([...waits, ...refused].map(({ id }) => id));
    for (const id of before) {
      if (!there.has(id) && HELD.has(known.get(id)?.stage.name ?? "")) known.delete(id);
    }
    for (const entry of waits) if (!settledEarly.has(entry.id)) learn(entry, { name: "kept" });
    for (const item of refused) learn(item.entry, refusalOf(item));
    undeliverable.value = refused;
    losses.value = lost;
    show();
    // What was heard while the lists were being read is newer than they are.
    if (timesHeard !== heardBefore && !agrees()) planRecount();
  }

  function learn(entry: KeptEntry, stage: Stage): void {
    const { id, kind, lane, createdAt, payload, label } = entry;
    const before = known.get(id);
    if (before?.stage.name === "saved") return;
    if (before) before.stage = stage;
    else known.set(id, { id, kind, lane, createdAt, body: parsed(payload), says: label ?? kind, stage });
  }

  function heard(news: News): void {
    timesHeard += 1;
    if (news.type === "added") {
      learn(news.entry, { name: "kept" });
    } else if (news.type === "settled") {
      settle(news.id);
    } else if (news.type === "undeliverable") {
      const { item } = news;
      learn(item.entry, refusalOf(item));
      undeliverable.value = [...undeliverable.peek().filter(({ id }) => id !== item.id), item];
    } else if (news.type === "loss") {
      losses.value = [...losses.peek().filter(({ id }) => id !== news.loss.id), news.loss];
    } else if (news.type === "status") {
      status.value = news.status;
      if (ready.peek() && !agrees()) planRecount();
    }
    show();
  }

  function settle(id: string): void {
    const one = known.get(id);
    if (one) {
      one.stage = { name: "saved" };
      forgetOldSaved();
    } else if (!ready.peek()) settledEarly.add(id);
    saved = true;
  }

  function forgetOldSaved(): void {
    const done = [...known.values()].filter(({ stage }) => stage.name === "saved");
    for (const { id } of done.slice(0, Math.max(0, done.length - SAVED_KEPT))) known.delete(id);
  }

  function agrees(): boolean {
    const { lanes } = status.peek();
    const waits: Record<Lane, number> = { progressQueue: 0, adminQueue: 0, analyticsQueue: 0 };
    for (const { lane, stage } of known.values()) if (stage.name === "kept") waits[lane] += 1;
    return (
      (Object.keys(waits) as Lane[]).every((lane) => waits[lane] === lanes[lane].waiting) &&
      undeliverable.peek().length === status.peek().undeliverable &&
      losses.peek().length === status.peek().losses
    );
  }

  function planRecount(): void {
    if (recountPlanned) return;
    recountPlanned = true;
    clock.after(RECOUNT_AFTER_MS, async () => {
      recountPlanned = false;
      if (!closed && !agrees()) await box.then(recount).catch(() => planRecount());
    });
  }

  /** News comes in bursts of a whole batch; the page is told once for all of it. */
  function show(): void {
    if (changed) return;
    changed = true;
    queueMicrotask(() => {
      changed = false;
      changes.value += 1;
      if (saved) onSaved();
      saved = false;
    });
  }

  function add(draft: Draft): string {
    const { id = mintId(), kind, body, says } = draft;
    // A second call with one id, such as a second press, is the same event.
    if (known.has(id)) return id;
    const createdAt = new Date(clock.now()).toISOString();
    const one: Known = { id, kind, body, says, lane: laneOf(kind), createdAt, stage: { name: "keeping" } };
    known.set(id, one);
    // Shown at once: who presses a button twice must find it pressed.
    changes.value += 1;
    track(keep(one));
    return id;
  }

  function track(work: Promise<void>): void {
    adding.add(work);
    void work.finally(() => adding.delete(work));
  }

  async function keep(one: Known): Promise<void> {
    const { id, kind, lane, says, body, createdAt } = one;
    try {
      const there = await box;
      await there.add({ id, kind, lane, payload: JSON.stringify(body), label: says, createdAt });
      // The receipt may have been heard first.
      if (isUnkept(one.stage)) one.stage = { name: "kept" };
    } catch (error) {
      one.stage =
        error instanceof RangeError
          ? { name: "undeliverable", code: "too_large", reason: "This is too large to be kept or sent." }
          : { name: "unsafe" };
      show();
      if (isNotKept(error) && (await error.sentDirectly.catch(() => false)) && isUnkept(one.stage))
        settle(id);
      planKeepAgain();
    }
    show();
  }

  /** What the device could not keep is offered to it again, all of it at once, each under its same id. */
  function planKeepAgain(): void {
    const unsafe = [...known.values()].some(({ stage }) => stage.name === "unsafe");
    if (!unsafe) tries = 0;
    if (!unsafe || closed || againPlanned) return;
    againPlanned = true;
    tries += 1;
    clock.after(waitMs(tries, random), () => {
      againPlanned = false;
      if (!closed) keepAgain();
    });
  }

  function keepAgain(): void {
    for (const one of known.values()) {
      if (one.stage.name !== "unsafe") continue;
      one.stage = { name: "keeping" };
      track(keep(one));
    }
    show();
  }

  return {
    owner,
    entries,
    /** "unsafe" also while the outbox can't even be opened. */
    status: computed((): Status => {
      const now = status.value;
      return openFailed.value ? { ...now, storage: "unsafe" } : now;
    }),
    undeliverable: undeliverable as ReadonlySignal<readonly Undeliverable[]>,
    losses: losses as ReadonlySignal<readonly Loss[]>,
    /** Whether what waited from before has been read. */
    ready: ready as ReadonlySignal<boolean>,
    /** Work that only this page has. */
    atRisk: computed(() => entries.value.filter((entry) => isWork(entry) && isAtRisk(entry)).length),

    add,

    sendNow(): void {
      keepAgain();
      opened?.sendNow();
    },
    async putAway(id: string): Promise<void> {
      // What was too large never came into the outbox.
      if (undeliverable.peek().some((item) => item.id === id)) await (await box).putAway(id);
      known.delete(id);
      undeliverable.value = undeliverable.peek().filter((item) => item.id !== id);
      show();
    },
    /** False: it can't be sent again, and stays among what was refused. */
    async tryAgain(id: string): Promise<boolean> {
      if (!(await (await box).tryAgain(id))) return false;
      const one = known.get(id);
      if (one?.stage.name === "undeliverable") one.stage = { name: "kept" };
      undeliverable.value = undeliverable.peek().filter((item) => item.id !== id);
      show();
      return true;
    },
    async discardAll(): Promise<number> {
      const there = await box;
      const count = await there.discardAll();
      for (const { id, stage } of known.values()) if (stage.name !== "saved") known.delete(id);
      await recount(there);
      return count;
    },
    /** Now and not a moment later: the page may be going. */
    beacon: (): void => opened?.beacon(),
    /** Resolves when every event added so far is kept, or known not to be. */
    async added(): Promise<void> {
      while (adding.size > 0) await Promise.all(adding);
    },
    /** What waits stays on the device. */
    async close(): Promise<void> {
      closed = true;
      stopHearing();
      await (await opening?.catch(() => undefined))?.close();
    },
  };
}

function stateOf(stage: Stage, now: LaneStatus["state"], openFailed: boolean): EntryState {
  switch (stage.name) {
    case "kept":
      return { name: "kept", now };
    case "keeping":
      return { name: openFailed ? "unsafe" : "keeping" };
    case "undeliverable":
      return stage;
    default:
      return { name: stage.name };
  }
}

function refusalOf({ code, reason, hint }: Undeliverable): Stage {
  return { name: "undeliverable", code, reason, ...(hint !== undefined && { hint }) };
}

/** In the outbox, one way or the other. */
const HELD: ReadonlySet<string> = new Set(["kept", "undeliverable"]);

const isUnkept = ({ name }: Stage): boolean => name === "keeping" || name === "unsafe";

const isNotKept = (error: unknown): error is NotKept => error instanceof Error && "sentDirectly" in error;

function parsed(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch {
    return undefined;
  }
}
