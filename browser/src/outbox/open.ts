/** The outbox of one principal, put together. See `port.ts` for what it promises. */
import { systemClock } from "../core/clock";
import { mintId as mint } from "../core/ids";
import { createAdding } from "./adding";
import { openAside } from "./aside";
import { createBeacon } from "./beacon";
import { type Book, openBook } from "./book";
import { createKeeper } from "./commit";
import { createDelivery } from "./delivery";
import { LANES, type Principal } from "./entry";
import { faceOf } from "./face";
import { openIndexedDb } from "./indexeddb";
import { takeLease } from "./lease";
import { createLook } from "./look";
import { nameOf } from "./name";
import { openExchange } from "./news";
import type { Parts } from "./parts";
import { openPass } from "./pass";
import type { News, Outbox } from "./port";
import { createSender } from "./sender";
import { createShelves } from "./shelves";
import { watchStatus } from "./status";
import type { Store } from "./store";

export async function openOutbox(parts: Parts): Promise<Outbox> {
  const { principal, mirror, page, clock = systemClock, random = Math.random, mintId = mint } = parts;
  const { locks = navigator.locks, channel = (named) => new BroadcastChannel(named) } = parts;
  const { engine = (named) => openIndexedDb(() => parts.indexedDB ?? indexedDB, named) } = parts;
  const name = nameOf(principal);
  const store = engine(name);
  const book = openBook(store, principal, name, mirror, mintId);
  const { keep, idle } = createKeeper(book);

  const aside = openAside(
    `${name}.aside`,
    mirror,
    clock,
    keep,
    () => book.write((meta) => ({ meta }), true),
    (entry) => adding.rescued(entry),
    () => {
      watch.recompose();
      if (aside.isReadable()) sender.wake(true);
    },
  );

  const answers = await hydrate(store, book, principal);
  const tell = (news: News): void => exchange.tell(news);

  const shelves = createShelves(store, book, clock, tell);
  const pass = openPass(parts, clock, () => {
    const { backlog, lanes } = watch.status();
    const times = LANES.flatMap((lane) => lanes[lane].oldestAt ?? []);
    return { count: backlog, lagMs: Math.max(0, ...times.map((time) => clock.now() - Date.parse(time))) };
  });
  const beacon = createBeacon(`${name}.beacon`, mirror, parts.sendBeacon, book, pass);
  const lease = takeLease(
    locks,
    `${name}.send`,
    book,
    clock,
    page,
    () => exchange.pass({ ask: "seat" }),
    () => {
      exchange.changed();
      if (!lease.holds()) return;
      sender.wake(false);
      void losses.look();
    },
  );

  const watch = watchStatus(
    store,
    clock,
    lease,
    aside,
    (lane) => exchange.stateOf(lane),
    (status) => exchange.tellHere({ type: "status", status }),
  );
  const losses = createLook(store, book, clock, mintId, pass, lease, tell);
  const sender = createSender(clock, random, {
    ...createDelivery(book, shelves, aside, beacon, pass, lease, losses, tell),
    changed: () => exchange.changed(),
    async drained(total) {
      await watch.refresh();
      tell({ type: "drained", ...total, left: watch.status().backlog });
      void losses.look();
    },
  });
  const exchange = openExchange(channel?.(name), beacon, sender, lease, watch);

  const adding = createAdding(principal, clock, mintId, book, keep, aside, beacon, lease, sender, tell);

  const stopListening = page?.listen((change) => {
    exchange.runs(change !== "gone");
    // A page that was put by has not heard everything.
    void (change === "seen" ? watch.refresh() : beacon.send());
  });

  async function close(): Promise<void> {
    watch.close();
    stopListening?.();
    sender.close();
    lease.close();
    aside.close();
    await idle();
    exchange.close();
    store.close();
  }

  if (!answers) aside.failed(true);
  else if (aside.of().length > 0) await aside.probe();
  await watch.refresh();
  exchange.pass({ ask: "states" });
  sender.wake(false);
  if (lease.holds()) void losses.look();
  return faceOf(principal, adding, aside, shelves, beacon, lease, sender, losses, exchange, watch, close);
}

/** Whether the storage answers. One that does not is a condition, no failure: the outbox works without it. */
async function hydrate(store: Store, book: Book, principal: Principal): Promise<boolean> {
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
  return answers;
}
