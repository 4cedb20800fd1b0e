/**
 * The one way out for everything a learner does: a page adds, and reads the state of what it added.
 *
 * This is the outbox's place. What stands here now keeps events in the page's memory, so closing the page
 * loses what has no receipt yet, and the screen says so. The outbox will stand behind the same `Sending`,
 * keep its entries on the device, and own the device's name and numbers. Its law holds already:
 * an event leaves only when a receipt names it or the server refused it, and a retry carries the same id.
 */
import { effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import { askedWaitMs, LONGEST_ASKED_MS, waitMs } from "../core/backoff";
import type { Clock } from "../core/clock";
import { inWords, type Problem } from "../core/problem";
import { batchText, eventText, type WrittenEvent } from "../wire/batch";
import type { Calls } from "../wire/calls";
import type { Receipt, Receipts } from "../wire/shapes";
import type { NumberedDevice } from "./device";
import type { Draft, Entry, EntryState, Lane } from "./entries";
import { type Owner, type SessionKeeper, sameOwner } from "./session";

export interface Sending {
  readonly entries: ReadonlySignal<readonly Entry[]>;
  /**
   * Takes an event and sends it at once; the id is minted here and never again. It belongs to the page's
   * person, or to `by`, who may have left meanwhile: then it waits for them.
   */
  add(draft: Draft, by?: Owner): string;
  /** A person asks, or the network is back. A wait the server asked for is kept all the same. */
  tryNow(): void;
  /** The learner has read why an event was refused. */
  putAway(id: string): void;
}

export interface SendingParts {
  calls: Pick<Calls, "batch">;
  session: Pick<SessionKeeper, "owner" | "signedIn" | "stillCurrent" | "expire" | "ask">;
  device: NumberedDevice;
  clock: Clock;
  mintId: () => string;
  random: () => number;
  /** Told after receipts have saved something: what the server reads out will change soon. */
  onSaved: () => void;
}

const PATHS: Record<Lane, string> = {
  progressQueue: "/api/client/progress/batch",
  analyticsQueue: "/api/analytics/events/batch",
};
const LARGEST_BATCH = 50;
const LARGEST_BATCH_CHARS = 48_000;
/** Saved entries stay only so that a page can still say "saved"; a long evening must not fill the memory. */
const SAVED_KEPT = 200;

type Settled = Extract<EntryState, { name: "saved" | "refused" }>;

interface Held extends WrittenEvent {
  readonly draft: Draft;
  readonly lane: Lane;
  readonly owner: Owner;
  readonly addedAtMs: number;
  settled?: Settled;
  inFlight: boolean;
  attempt: number;
  wait: Wait;
}

/** Until when to wait, why, and whether it was the server who asked. */
interface Wait {
  untilMs: number;
  why: string;
  asked: boolean;
}

interface LaneState {
  inFlight: boolean;
  attempt: number;
  wait: Wait;
  /** Shrinks by halves while the server refuses a whole batch, until the one bad event stands alone. */
  limit: number;
  cancelWake: () => void;
}

const NO_WAIT: Wait = { untilMs: 0, why: "", asked: false };

export function createSending(parts: SendingParts): Sending {
  const { calls, session, device, clock, mintId, random } = parts;
  const entries = signal<readonly Entry[]>([]);
  let held: Held[] = [];
  const newLane = (): LaneState => ({
    inFlight: false,
    attempt: 0,
    wait: NO_WAIT,
    limit: LARGEST_BATCH,
    cancelWake: () => {},
  });
  const lanes: Record<Lane, LaneState> = { progressQueue: newLane(), analyticsQueue: newLane() };
  const laneNames: Lane[] = ["progressQueue", "analyticsQueue"];

  // Signing in again sends what waited, if it is the same person; any change shows in every entry's state.
  effect(() => {
    session.owner.value;
    session.signedIn.value;
    untracked(() => laneNames.forEach(pump));
  });

  function add(draft: Draft, by?: Owner): string {
    const owner = by ?? session.owner.peek();
    if (owner === undefined) throw new Error("an event needs somebody who did it");
    const id = mintId();
    held.push({
      id,
      kind: draft.kind,
      draft,
      lane: draft.kind === "analytics.recorded" ? "analyticsQueue" : "progressQueue",
      owner,
      orgId: owner.orgId,
      seq: device.nextSeq(),
      occurredAt: new Date(clock.now()).toISOString(),
      bodyText: JSON.stringify(draft.body),
      addedAtMs: clock.elapsed(),
      inFlight: false,
      attempt: 0,
      wait: NO_WAIT,
    });
    laneNames.forEach(pump);
    return id;
  }

  /** Those of a lane that may be sent in the name of who is signed in now. */
  function sendable(name: Lane): Held[] {
    const owner = session.owner.peek();
    if (owner === undefined || !session.signedIn.peek()) return [];
    return held.filter((one) => one.lane === name && !one.settled && sameOwner(one.owner, owner));
  }

  function pump(name: Lane): void {
    const lane = lanes[name];
    lane.cancelWake();
    const waiting = lane.inFlight ? [] : sendable(name);
    if (waiting.length > 0) {
      const nowMs = clock.elapsed();
      const due = waiting.filter((one) => one.wait.untilMs <= nowMs);
      if (lane.wait.untilMs <= nowMs && due.length > 0) {
        void send(name, cut(due, lane.limit));
      } else {
        const firstMs = Math.min(...waiting.map((one) => one.wait.untilMs));
        const wakeMs = Math.max(lane.wait.untilMs, firstMs) - nowMs;
        lane.cancelWake = clock.after(Math.max(0, wakeMs), () => pump(name));
      }
    }
    show();
  }

  async function send(name: Lane, sent: Held[]): Promise<void> {
    const [first] = sent;
    if (first === undefined) return;
    if (!session.stillCurrent(first.owner)) {
      // Another tab signed somebody else in: learn who it is before anything leaves under their cookie.
      pause(name, "somebody else signed in in another tab", undefined);
      void session.ask();
      return;
    }
    const lane = lanes[name];
    const backlog = sendable(name);
    const oldestMs = Math.min(...backlog.map((one) => one.addedAtMs));
    lane.inFlight = true;
    for (const one of sent) one.inFlight = true;
    const answer = await calls.batch(PATHS[name], batchText(device, sent), {
      count: backlog.length,
      lagMs: clock.elapsed() - oldestMs,
    });
    lane.inFlight = false;
    for (const one of sent) one.inFlight = false;
    if (answer.ok) settle(name, sent, answer.value);
    else fail(name, sent, answer.problem);
    pump(name);
  }

  function settle(name: Lane, sent: Held[], told: Receipts): void {
    const receipts = new Map(told.receipts.map((receipt) => [receipt.id, receipt]));
    const lane = lanes[name];
    lane.attempt = 0;
    lane.limit = LARGEST_BATCH;
    const slowDownMs = Math.min(told.slowDownMs ?? 0, LONGEST_ASKED_MS);
    lane.wait =
      slowDownMs > 0
        ? { untilMs: clock.elapsed() + slowDownMs, why: "the server asks for a slower pace", asked: true }
        : NO_WAIT;
    for (const one of sent) apply(one, receipts.get(one.id));
    held = withoutOldSaved(held);
    if (sent.some((one) => one.settled?.name === "saved")) parts.onSaved();
  }

  function apply(one: Held, receipt: Receipt | undefined): void {
    if (receipt === undefined) {
      putOff(one, "the server gave no receipt for it", undefined);
    } else if (receipt.status === "accepted" || receipt.status === "duplicate") {
      one.settled = { name: "saved" };
    } else if (receipt.status === "later") {
      putOff(one, receipt.reason || "the server cannot take it now", receipt.retryAfterS ?? undefined);
    } else {
      one.settled = { name: "refused", reason: receipt.reason || receipt.code || receipt.status };
    }
  }

  function fail(name: Lane, sent: Held[], problem: Problem): void {
    if (problem.family === "signIn") {
      session.expire();
    } else if (isStaleToken(problem)) {
      // The session behind the cookie changed; nothing is wrong with the events. Ask who is signed in.
      void session.ask();
      failLane(name, inWords(problem), problem.retryAfterS);
    } else if (sent.length > 1 && (problem.family === "refused" || problem.status === 413)) {
      // One bad event must not sink its neighbours: halve until it stands alone.
      lanes[name].limit = Math.ceil(sent.length / 2);
    } else if (problem.family === "refused") {
      for (const one of sent) one.settled = { name: "refused", reason: reasonOf(problem) };
    } else {
      failLane(name, inWords(problem), problem.retryAfterS);
    }
  }

  function failLane(name: Lane, why: string, retryAfterS: number | undefined): void {
    lanes[name].attempt += 1;
    lanes[name].wait = waitAfter(lanes[name].attempt, why, retryAfterS);
  }

  /** A wait outside of any request. */
  function pause(name: Lane, why: string, retryAfterS: number | undefined): void {
    failLane(name, why, retryAfterS);
    pump(name);
  }

  function putOff(one: Held, why: string, retryAfterS: number | undefined): void {
    one.attempt += 1;
    one.wait = waitAfter(one.attempt, why, retryAfterS);
  }

  function waitAfter(attempt: number, why: string, retryAfterS: number | undefined): Wait {
    const forMs = retryAfterS === undefined ? waitMs(attempt, random) : askedWaitMs(retryAfterS, random);
    return { untilMs: clock.elapsed() + forMs, why, asked: retryAfterS !== undefined };
  }

  function tryNow(): void {
    for (const name of laneNames) if (!lanes[name].wait.asked) lanes[name].wait = NO_WAIT;
    for (const one of held) if (!one.wait.asked) one.wait = NO_WAIT;
    laneNames.forEach(pump);
  }

  function putAway(id: string): void {
    held = held.filter((one) => one.id !== id || one.settled?.name !== "refused");
    show();
  }

  function show(): void {
    const owner = session.owner.peek();
    const signedIn = session.signedIn.peek();
    const nowMs = clock.elapsed();
    entries.value = held.map((one) => {
      const { id, draft, lane } = one;
      return { id, draft, lane, owner: one.owner, state: stateOf(one, owner, signedIn, nowMs) };
    });
  }

  function stateOf(one: Held, owner: Owner | undefined, signedIn: boolean, nowMs: number): EntryState {
    if (one.settled) return one.settled;
    if (one.inFlight) return { name: "sending" };
    if (owner !== undefined && !sameOwner(one.owner, owner)) return { name: "held", why: "anotherPerson" };
    if (!signedIn) return { name: "held", why: "signIn" };
    const laneWait = lanes[one.lane].wait;
    const wait = laneWait.untilMs >= one.wait.untilMs ? laneWait : one.wait;
    const { untilMs: dueAtMs, why, asked } = wait;
    return dueAtMs > nowMs ? { name: "waiting", dueAtMs, why, asked } : { name: "sending" };
  }

  return { entries, add, tryNow, putAway };
}

/** The first of them that fit into one request. */
function cut(due: Held[], limit: number): Held[] {
  let chars = 0;
  return due.slice(0, limit).filter((one, index) => {
    chars += eventText(one).length;
    return index === 0 || chars <= LARGEST_BATCH_CHARS;
  });
}

function withoutOldSaved(held: Held[]): Held[] {
  let surplus = held.filter((one) => one.settled?.name === "saved").length - SAVED_KEPT;
  return held.filter((one) => one.settled?.name !== "saved" || surplus-- <= 0);
}

const isStaleToken = (problem: Problem): boolean => problem.status === 403 && problem.code.startsWith("csrf");

const reasonOf = (problem: Problem): string => [inWords(problem), problem.hint].filter(Boolean).join(" ");
