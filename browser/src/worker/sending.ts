/** The worker's share in sending: woken by the browser, and for events that did not come from the outbox. */
import type { Outbox, Tally } from "../outbox/index";
import { markOf, tagOf, type Whose, whoseTag } from "../wire/worker-words";
import { type Drained, drain } from "./drain";
import { whoIsHere } from "./drawer";
import { type Draft, passOn } from "./foreign";
import { network } from "./network";
import { readAgain } from "./reads";
import { routeTo } from "./router";
import { type Manifest, scope } from "./scope";
import { pagesOpen, tellPages } from "./tell";

/** The Background Sync API, which TypeScript does not know. */
interface SyncEvent extends ExtendableEvent {
  readonly tag: string;
  readonly lastChance: boolean;
}
interface SyncManager {
  register(tag: string): Promise<void>;
}

/** Receipts come before the rows are written. */
const ROWS_FOLLOW_MS = 2_000;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/**
 * The outbox is a script of its own, run when there is something to send: a worker starts for every page
 * that is opened, and mostly for nothing else. The browser keeps the script with the worker, since it was
 * loaded once while the worker was installed.
 */
let script = "";
function theOutbox(): typeof import("../outbox/index") {
  const world = scope as unknown as { holdfastOutbox?: typeof import("../outbox/index") };
  if (!world.holdfastOutbox) scope.importScripts(script);
  return world.holdfastOutbox as typeof import("../outbox/index");
}

let syncs: Tally | undefined;
function theTally(): Tally {
  syncs ??= theOutbox().openTally(() => indexedDB);
  return syncs;
}

async function withOutbox<T>(whose: Whose, use: (outbox: Outbox) => Promise<T>): Promise<T> {
  const { openOutbox, tellingSyncs } = theOutbox();
  const outbox = await openOutbox({ principal: whose, fetch: tellingSyncs(network, theTally()) });
  try {
    return await use(outbox);
  } finally {
    await outbox.close();
  }
}

async function wakeUp(whose: Whose, lastChance: boolean): Promise<void> {
  // Who signed out left their work sealed until they sign in again, even while their cookie still works.
  const here = await whoIsHere();
  if (!here || markOf(here) !== markOf(whose)) return;
  const { entries, ...told } = await counted(withOutbox(whose, (outbox) => drain(outbox, sleep)));
  await tellPages({ type: "SYNC_COMPLETE", ...told });
  if (entries.length > 0) {
    await sleep(ROWS_FOLLOW_MS);
    await readAgain(whose, entries);
  }
  // Failing is how a worker asks to be woken again, 5, 15 and 45 minutes later. While a page is open it sends
  // by itself, and asks anew when it goes: a failure now would put the next waking off.
  if (told.left > 0 && !lastChance && (await pagesOpen()) === 0) throw new Error(`${told.left} entries wait`);
}

/** A sync went well when nothing is left; the server hears of it with a batch to come. */
async function counted(sync: Promise<Drained>): Promise<Drained> {
  let well = false;
  try {
    const drained = await sync;
    well = drained.left === 0;
    return drained;
  } finally {
    await theTally()
      .add({ well: well ? 1 : 0, badly: well ? 0 : 1 })
      .catch(() => {});
  }
}

async function keep(whose: Whose, drafts: readonly Draft[]): Promise<Set<string>> {
  const kept = await withOutbox(whose, async (outbox) => {
    const there = new Set((await outbox.waiting()).map(({ id }) => id));
    for (const draft of drafts) {
      const id = draft.id.toLowerCase();
      if (there.has(id)) continue;
      const done = await outbox.add(draft).then(
        () => true,
        () => false,
      );
      if (done) there.add(id);
    }
    return there;
  });
  const { sync } = scope.registration as { sync?: SyncManager };
  await sync?.register(tagOf(whose)).catch(() => {});
  return new Set(drafts.flatMap(({ id }) => (kept.has(id.toLowerCase()) ? [id] : [])));
}

export function serveSending({ outbox }: Manifest): void {
  script = outbox;
  scope.addEventListener("install", (event) => {
    event.waitUntil(Promise.resolve().then(theOutbox));
  });
  scope.addEventListener("sync" as "activate", (event) => {
    const { tag, lastChance } = event as SyncEvent;
    const whose = whoseTag(tag);
    if (whose) event.waitUntil(wakeUp(whose, lastChance));
  });
  routeTo("foreign", ({ request }) => passOn(request, { network, whose: whoIsHere, keep }), "POST");
}
