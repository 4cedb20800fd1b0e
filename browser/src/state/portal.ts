/** The page's parts, put together once. */
import { effect, untracked } from "@preact/signals";
import type { Clock } from "../core/clock";
import { mintId } from "../core/ids";
import { openOutbox, openTally, tellingSyncs } from "../outbox/index";
import type { tabParts } from "../outbox/page";
import { createCalls } from "../wire/calls";
import { createWire } from "../wire/client";
import { markOf as whoseMarkOf } from "../wire/worker-words";
import { authorizer } from "./authorize";
import { halfTypedIn } from "./half-typed";
import { watchHealth } from "./health";
import { createInstalled } from "./installed";
import { keepIn } from "./keep";
import { createOutboxState } from "./outbox";
import { createReads } from "./reads";
import { sealedIn } from "./sealed";
import { createSession, markOf } from "./session";

export interface Ground {
  fetch: typeof fetch;
  clock: Clock;
  /** Of the device. */
  storageOf: () => Storage;
  /** Of this tab alone. */
  tabStorageOf: () => Storage;
  random: () => number;
  online: () => boolean;
  /** How the outbox sees this tab: its storage, its being seen, its last word. */
  tab: ReturnType<typeof tabParts>;
  /** For what stands on the device beside the outbox: the worker and its caches. */
  window?: Window & typeof globalThis;
  /** By these the tabs of a browser share one view of the service. */
  locks: LockManager | undefined;
  channel: BroadcastChannel | undefined;
}

export type Portal = ReturnType<typeof createPortal>;

export function createPortal({
  fetch,
  clock,
  storageOf,
  tabStorageOf,
  random,
  online,
  tab,
  window,
  locks,
  channel,
}: Ground) {
  const keep = keepIn(storageOf);
  const syncs = openTally(() => indexedDB);
  const sealed = sealedIn(keep);
  const tabKeep = keepIn(tabStorageOf);
  const halfTyped = halfTypedIn(tabKeep);
  const wire = createWire({
    fetch,
    clock,
    csrfToken: () => session.session.peek()?.csrfToken ?? undefined,
    whose: () => {
      const owner = session.owner.peek();
      return owner && whoseMarkOf(owner);
    },
  });
  const calls = createCalls(wire);
  const session = createSession(calls, keep, clock);
  const reads = createReads(calls, clock, session.expire);
  const outbox = createOutboxState({
    session,
    sealed,
    open: (principal) =>
      openOutbox({
        principal,
        fetch: tellingSyncs(fetch, syncs),
        authorize: authorizer(session, principal),
        clock,
        random,
        mintId,
        ...tab,
      }),
    clock,
    mintId,
    random,
    onSaved: reads.lookAgainSoon,
  });
  const health = watchHealth({
    wire,
    calls,
    clock,
    random,
    online,
    page: tab.page,
    locks,
    channel,
    onReached(again) {
      if (again) outbox.sendNow();
      reads.retryFailed();
      if (session.unsettled()) void session.ask();
    },
  });

  let ownerBefore = "";
  effect(() => {
    const owner = session.owner.value;
    const signedIn = session.signedIn.value;
    const ownerNow = owner ? markOf(owner) : "";
    untracked(() => {
      if (ownerNow !== ownerBefore) {
        reads.forget();
        if (ownerBefore) halfTyped.forget(ownerBefore);
      }
      if (signedIn) reads.retryFailed();
      // Who is signed in decides what health tells them. Of somebody who is only remembered the server's word
      // is still to come: asking as nobody until then would begin the browser's one stream anew, and then again.
      if (signedIn || (ownerNow === "" && ownerBefore !== "")) health.ask(ownerNow);
    });
    ownerBefore = ownerNow;
  });

  const installed = createInstalled({ wire, clock, session, outbox, reads, keep, tabKeep, window });

  /** What a page still has to say in its person's name, asked for while they can send it. */
  const beforeSignOut = new Set<() => void>();

  // `wire`: for calls that only pages loaded later make, such as an administrator's.
  return { session, reads, outbox, sealed, halfTyped, health, clock, beforeSignOut, wire, installed };
}
