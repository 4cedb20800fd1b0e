/** The outbox of one principal, put together. See `port.ts` for what it promises. */
import { systemClock } from "../core/clock";
import { mintId as mint } from "../core/ids";
import { openAside } from "./aside";
import { createBeacon } from "./beacon";
import { openBook } from "./book";
import { createKeeper } from "./commit";
import {
  type Draft,
  ENTRY_VERSION,
  type Entry,
  isUrgent,
  LANES,
  LARGEST_PAYLOAD_BYTES,
  type Lane,
  laneOf,
  perLane,
} from "./entry";
import { openIndexedDb } from "./indexeddb";
import { nothing } from "./judge";
import { takeLease } from "./lease";
import type { LossWatch } from "./loss";
import { nameOf } from "./name";
import { type Message, openExchange } from "./news";
import type { Parts } from "./parts";
import { openPass } from "./pass";
import type { LaneState, News, Outbox } from "./port";
import type { Ranges } from "./ranges";
import type { Fresh } from "./record";
import { bytesOf, fitting, type Outcome, post } from "./requests";
import { createSender } from "./sender";
import { createShelves } from "./shelves";
import { watchStatus } from "./status";
import { isOpen } from "./store";

export async function openOutbox(parts: Parts): Promise<Outbox> {
  const { principal, mirror, page, clock = systemClock, random = Math.random, mintId = mint } = parts;
  const { locks = navigator.locks, channel = (named) => new BroadcastChannel(named) } = parts;
  const { engine = (named) => openIndexedDb(() => parts.indexedDB ?? indexedDB, named) } = parts;
  const name = nameOf(principal);
  const store = engine(name);
  const book = openBook(store, principal, name, mirror, mintId);
  const { keep, idle } = createKeeper(book);
  let closed = false;

  const aside = openAside({
    journalKey: `${name}.aside`,
    mirror,
    clock,
    keep,
    tryStorage: () => book.write((meta) => ({ meta }), true),
    kept(entry) {
      rescued.set(entry.id, entry);
      added(entry);
    },
    changed() {
      watch.recompose();
      if (aside.isReadable()) sender.wake(true);
    },
  });
  /** Entries that were aside first: they may be offered again. */
  const rescued = new Map<string, Entry>();

  // Hydrate. A storage that does not answer is a condition, not a failure: the outbox works without it.
  const answers = await book
    .write(() => undefined, true)
    .then(
      () => true,
      () => false,
    );
  const { orgId, userId } = book.known();
  if (orgId !== principal.orgId || userId !== principal.userId) {
    store.close();
    throw new Error("This database is somebody else's.");
  }

  // News

  const exchange = openExchange(channel?.(name), hear);
  let remote: Readonly<Record<Lane, LaneState>> | undefined;
  let statesTold = "";

  function tell(news: News): void {
    exchange.pass({ news });
    heed(news);
  }

  function heed(news: News): void {
    if (news.type === "settled") beacon.ended(news.id);
    if (news.type === "undeliverable") beacon.ended(news.item.id);
    exchange.tell(news);
    void watch.refresh();
  }

  /**
   * What others said while this tab was frozen. Chromium lets a frozen tab hear them, but what it then begins
   * in the database never ends, and nobody could write any more: so it is heeded once the tab runs again.
   */
  let unheeded: Message[] | undefined;

  function hear(message: Message): void {
    if (unheeded) {
      unheeded.push(message);
    } else if ("news" in message) {
      heed(message.news);
      if (message.news.type === "added" && lease.holds()) {
        sender.added(message.news.entry.lane, isUrgent(message.news.entry));
      }
    } else if ("states" in message) {
      remote = message.states;
      watch.recompose();
    } else if (message.ask === "seat") {
      lease.asked();
    } else if (lease.holds()) {
      if (message.ask === "send") sender.wake(true);
      statesTold = "";
      changed();
    }
  }

  /** A lane or the lease is in another state. */
  function changed(): void {
    if (closed) return;
    watch.recompose();
    if (!lease.holds()) return;
    const states = perLane(sender.stateOf);
    const text = JSON.stringify(states);
    if (text === statesTold) return;
    statesTold = text;
    exchange.pass({ states });
  }

  // Sending

  const shelves = createShelves(store, book, clock, tell);
  const pass = openPass(parts, clock, () => {
    const { backlog, lanes } = watch.status();
    const times = LANES.flatMap((lane) => lanes[lane].oldestAt ?? []);
    return { count: backlog, lagMs: Math.max(0, ...times.map((time) => clock.now() - Date.parse(time))) };
  });
  const { calls } = pass;
  let loss: LossWatch | undefined;
  let missing: Ranges = [];
  const beacon = createBeacon(`${name}.beacon`, mirror, parts.sendBeacon);
  let reconciled = false;

  /** What earlier pages sent by beacon: true when some of it had arrived, so that it waits no more. */
  async function reconcile(): Promise<boolean> {
    reconciled = true;
    const epoch = lease.epoch();
    const ids = beacon.unanswered();
    const waiting = ids.length > 0 ? await shelves.waiting() : [];
    const asked = waiting.filter(({ id }) => ids.includes(id));
    if (asked.length === 0) return false;
    const { deviceId, generation } = book.known();
    const answer = await calls.whichArrived(
      JSON.stringify({ deviceId, generation, ids: asked.map(({ id }) => id) }),
    );
    const arrived = answer.ok ? asked.filter(({ id }) => answer.value.held.includes(id)) : [];
    if (arrived.length === 0) return false;
    return shelves.settle({ ...nothing(), settled: arrived.map((entry) => [entry, "accepted"]), epoch });
  }

  const notSentDirectly = (entries: readonly Entry[]): void => {
    for (const { id } of entries) aside.notSent(id);
  };

  function settleAside({ settled, later }: Outcome): true {
    for (const [{ id, lane }, outcome] of settled) {
      aside.drop(id, true);
      tell({ type: "settled", id, lane, outcome });
    }
    notSentDirectly(later.map(([entry]) => entry));
    return true;
  }

  /** Storage that fails while something is read or settled is as dead as one that keeps nothing. */
  async function orUnsafe<T>(work: Promise<T>, reading: boolean): Promise<T> {
    try {
      return await work;
    } catch (fault) {
      aside.failed(reading);
      throw fault;
    }
  }

  const sender = createSender({
    clock,
    random,
    async authorize() {
      const given = await pass.ask();
      if (!("csrfToken" in given)) for (const lane of LANES) notSentDirectly(aside.of(lane));
      else if (!reconciled && lease.holds() && (await reconcile())) return "again";
      return given;
    },
    async pick(lane, limit, skip) {
      const due = (entries: readonly Entry[]) =>
        fitting(
          entries.filter(({ id }) => !skip.has(id)),
          limit,
        );
      // What only this tab has goes first, and by this tab, whoever holds the lease.
      const mine = due(aside.of(lane));
      if (mine.length > 0 || !lease.holds() || !aside.isReadable()) return mine;
      // The beat notices a database that was deleted, also where nothing is added after it.
      if (book.known().suspects.some(isOpen)) void lookForLoss();
      return due(await orUnsafe(shelves.waiting(lane, limit + skip.size), true));
    },
    async post(entries) {
      // Now, not when the answer comes: by then another tab may be sending.
      const epoch = lease.epoch();
      const outcome = { ...(await post(calls, book.known(), entries)), epoch };
      const { settled, refused, later, next, device } = outcome;
      if (next === "renew" || (next && typeof next === "object" && "held" in next)) pass.drop();
      if (device && entries[0]?.generation === book.known().generation) missing = device.missing;
      if (entries[0]?.seq === 0) {
        // Nothing holds a refusal now: it is asked for again once the database has the entry, and kept there.
        for (const [entry, { reason }] of refused.splice(0)) later.push([entry, { why: reason }]);
        if (next !== "split" && settled.length === 0) notSentDirectly(entries);
      }
      return outcome;
    },
    async settle(outcome) {
      if (outcome.settled[0]?.[0].seq === 0) return settleAside(outcome);
      const done = await orUnsafe(shelves.settle(outcome), false);
      if (!done) lease.lost();
      return done;
    },
    changed,
    async drained(total) {
      await watch.refresh();
      tell({ type: "drained", ...total, left: watch.status().backlog });
      void lookForLoss();
    },
  });

  /** Needs the network anyway, so its code comes by it too: a page's first load is smaller by that much. */
  async function lookForLoss(): Promise<void> {
    const { lastSeq, suspects } = book.known();
    if (closed || !lease.holds() || (lastSeq === 0 && suspects.length === 0)) return;
    try {
      if (!("csrfToken" in (await pass.ask()))) return;
      const { watchLoss } = await import("./loss");
      loss ??= watchLoss(store, book, calls, mintId, clock.now, tell);
      await loss.look(missing);
    } catch {
      // The network or the storage is out: the next drain looks again.
    }
  }

  const lease = takeLease({
    locks,
    name: `${name}.send`,
    book,
    clock,
    page,
    askForSeat: () => exchange.pass({ ask: "seat" }),
    changed() {
      changed();
      if (!lease.holds()) return;
      sender.wake(false);
      void lookForLoss();
    },
  });

  const watch = watchStatus({
    store,
    clock,
    stateOf: (lane) => (lease.holds() ? sender.stateOf(lane) : (remote?.[lane] ?? { name: "idle" })),
    sendsHere: lease.holds,
    isSafe: aside.isSafe,
    changed: (status) => exchange.tell({ type: "status", status }),
  });

  // Adding

  function freshOf({ id, kind, payload, lane = laneOf(kind), label, createdAt }: Draft): Fresh {
    const largest = LARGEST_PAYLOAD_BYTES[lane];
    if (bytesOf(payload) > largest) throw new RangeError(`a payload has at most ${largest / 1024} KB`);
    // A payload stands in its request as it is: one that is no JSON would spoil its neighbours.
    JSON.parse(payload);
    return {
      id: (id ?? mintId()).toLowerCase(),
      lane,
      kind,
      orgId,
      userId,
      ...(lane === "adminQueue" && { assignedBy: userId }),
      createdAt: createdAt ?? new Date(clock.now()).toISOString(),
      version: ENTRY_VERSION,
      payload,
      ...(label !== undefined && { label }),
    };
  }

  function added(entry: Entry): void {
    tell({ type: "added", entry });
    beacon.added(entry);
    if (lease.holds() || entry.seq === 0) sender.added(entry.lane, isUrgent(entry));
  }

  async function add(draft: Draft): Promise<Entry> {
    if (closed) throw new Error("This outbox is closed.");
    const fresh = freshOf(draft);
    if (aside.has(fresh.id)) await aside.probe();
    const before = rescued.get(fresh.id);
    if (before) return before;
    if (aside.isSafe()) {
      try {
        const entry = await keep(fresh);
        added(entry);
        return entry;
      } catch {
        aside.failed(false);
      }
    }
    const sentDirectly = aside.take(fresh, book.known().generation);
    sender.added(fresh.lane, true);
    throw Object.assign(new Error("This device could not keep it."), { name: "NotKept", sentDirectly });
  }

  const stopListening = page?.listen((change) => {
    const heard = unheeded ?? [];
    unheeded = change === "gone" ? heard : undefined;
    if (!unheeded) heard.forEach(hear);
    // A page that was put by has not heard everything.
    void (change === "seen" ? watch.refresh() : outbox.beacon());
  });

  const outbox: Outbox = {
    principal,
    add,
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
    sendNow() {
      if (!aside.isSafe()) void aside.probe();
      if (!lease.holds()) exchange.pass({ ask: "send" });
      sender.wake(true);
      void lookForLoss();
    },
    async putAway(id) {
      await shelves.putAway(id);
      await watch.refresh();
    },
    async tryAgain(id) {
      const entry = await shelves.tryAgain(id);
      if (entry) added(entry);
      await watch.refresh();
      return entry !== undefined;
    },
    async discardAll() {
      const count = await shelves.discardAll();
      const mine = LANES.flatMap(aside.of);
      for (const { id } of mine) aside.drop(id, false);
      await watch.refresh();
      return count + mine.length;
    },
    beacon() {
      const token = pass.token();
      if (token) beacon.send(book.known().deviceId, token);
    },
    async close() {
      closed = true;
      stopListening?.();
      sender.close();
      lease.close();
      aside.close();
      await idle();
      watch.close();
      exchange.close();
      store.close();
    },
  };

  if (!answers) aside.failed(true);
  else if (LANES.flatMap(aside.of).length > 0) await aside.probe();
  await watch.refresh();
  exchange.pass({ ask: "states" });
  sender.wake(false);
  if (lease.holds()) void lookForLoss();
  return outbox;
}
