/** The outbox of one principal, put together. See `port.ts` for what it promises. */
import { systemClock } from "../core/clock";
import { mintId as mint } from "../core/ids";
import { createWire } from "../wire/client";
import { createSendingCalls } from "../wire/sending";
import { openBook } from "./book";
import { createKeep } from "./commit";
import { type Draft, ENTRY_VERSION, type Entry, LANES, LARGEST_PAYLOAD_BYTES, type Lane } from "./entry";
import { openMemory } from "./memory";
import { nameOf } from "./name";
import { openExchange } from "./news";
import type { Parts, Pass } from "./parts";
import type { Outbox, Status } from "./port";
import type { Fresh } from "./record";
import { bytesOf, fitting, type Outcome, post } from "./requests";
import { createSender } from "./sender";
import { createShelves } from "./shelves";
import { watchStatus } from "./status";

export type { Draft, Entry, Lane, Loss, Principal, Undeliverable } from "./entry";
export type { Mirror, Page, Parts, Pass } from "./parts";
export type { LaneState, LaneStatus, News, NotKept, Outbox, Status } from "./port";

/** What a learner waits for, or an admin: it is sent at once. */
const URGENT = new Set(["lesson.completed", "quiz.answered"]);
const isUrgent = ({ kind, lane }: Pick<Entry, "kind" | "lane">): boolean =>
  URGENT.has(kind) || lane === "adminQueue";

const laneOf = (kind: string): Lane =>
  kind.startsWith("course.")
    ? "adminQueue"
    : kind.startsWith("analytics.")
      ? "analyticsQueue"
      : "progressQueue";

export async function openOutbox(parts: Parts): Promise<Outbox> {
  const { principal, clock = systemClock, random = Math.random, mintId = mint } = parts;
  const name = nameOf(principal);
  const store = openMemory();
  const book = openBook(store, principal, name, parts.mirror, mintId);
  await book.write(() => undefined, true);

  const exchange = openExchange(undefined, () => {});
  const shelves = createShelves(store, book, clock, exchange.tell);
  const keep = createKeep(book);
  let pass: Pass | undefined;
  const calls = createSendingCalls(
    createWire({
      fetch: parts.fetch,
      clock,
      csrfToken: () => (pass && "csrfToken" in pass ? pass.csrfToken : undefined),
    }),
    principal.orgId,
    () => backlogOf(watch.status(), clock.now()),
  );
  const authorize = parts.authorize ?? (() => askServer(calls, principal));

  const sender = createSender({
    clock,
    random,
    async authorize() {
      pass = pass && "csrfToken" in pass ? pass : await authorize();
      return pass;
    },
    async pick(lane, limit, skip) {
      const found = await shelves.waiting(lane, limit + skip.size);
      return fitting(
        found.filter(({ id }) => !skip.has(id)),
        limit,
      );
    },
    async post(entries) {
      const outcome: Outcome = await post(calls, book.known(), entries);
      // The server did not know the session: ask anew before anything else is sent.
      if (
        outcome.next &&
        (outcome.next === "renew" || (typeof outcome.next === "object" && "held" in outcome.next))
      )
        pass = undefined;
      return outcome;
    },
    async settle(outcome) {
      const done = await shelves.settle(outcome, undefined);
      void watch.refresh();
      return done;
    },
    changed: () => watch.recompose(),
    async drained(sent, duplicates, undeliverable) {
      await watch.refresh();
      exchange.tell({ type: "drained", sent, duplicates, undeliverable, left: watch.status().backlog });
    },
  });

  const watch = await watchStatus({
    store,
    clock,
    stateOf: sender.stateOf,
    sendsHere: () => true,
    isSafe: () => true,
    aside: () => [],
    changed: (status) => exchange.tell({ type: "status", status }),
  });

  function freshOf({ id, kind, payload, lane = laneOf(kind), label }: Draft): Fresh {
    const largest = LARGEST_PAYLOAD_BYTES[lane];
    if (bytesOf(payload) > largest) throw new RangeError(`a payload has at most ${largest / 1024} KB`);
    JSON.parse(payload);
    return {
      id: (id ?? mintId()).toLowerCase(),
      lane,
      kind,
      orgId: principal.orgId,
      userId: principal.userId,
      ...(lane === "adminQueue" && { assignedBy: principal.userId }),
      createdAt: new Date(clock.now()).toISOString(),
      version: ENTRY_VERSION,
      payload,
      ...(label !== undefined && { label }),
    };
  }

  sender.wake(false);
  return {
    principal,
    async add(draft) {
      const entry = await keep(freshOf(draft));
      exchange.tell({ type: "added", entry });
      void watch.refresh();
      sender.added(entry.lane, isUrgent(entry));
      return entry;
    },
    async waiting() {
      return (await shelves.waiting()).sort((one, other) => one.seq - other.seq);
    },
    undeliverable: shelves.undeliverable,
    losses: shelves.losses,
    answers: shelves.answers,
    get status() {
      return watch.status();
    },
    subscribe: exchange.subscribe,
    sendNow: () => sender.wake(true),
    async putAway(id) {
      await shelves.putAway(id);
      await watch.refresh();
    },
    async tryAgain(id) {
      const entry = await shelves.tryAgain(id);
      if (entry) sender.added(entry.lane, true);
      await watch.refresh();
    },
    async discardAll() {
      const count = await shelves.discardAll();
      await watch.refresh();
      return count;
    },
    beacon() {},
    async close() {
      sender.close();
      watch.close();
      exchange.close();
      store.close();
    },
  };
}

function backlogOf({ backlog, lanes }: Status, nowMs: number): { count: number; lagMs: number } {
  const times = LANES.flatMap((lane) => lanes[lane].oldestAt ?? []);
  return { count: backlog, lagMs: Math.max(0, ...times.map((time) => nowMs - Date.parse(time))) };
}

/** Asks the server whose cookie this is: another person's must never send this principal's entries. */
async function askServer(
  calls: ReturnType<typeof createSendingCalls>,
  { orgId, userId }: Parts["principal"],
): Promise<Pass> {
  const answer = await calls.whoIsIn();
  if (!answer.ok) {
    return answer.problem.family === "signIn" ? { held: "signIn" } : { problem: answer.problem };
  }
  const { principal, csrfToken } = answer.value;
  const isTheirs = principal.userId === userId && principal.orgs.some(({ id }) => id === orgId);
  return isTheirs && csrfToken !== null ? { csrfToken } : { held: "anotherPerson" };
}
