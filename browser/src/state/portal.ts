/** The page's parts, put together once. */
import { effect, untracked } from "@preact/signals";
import type { Clock } from "../core/clock";
import { mintId } from "../core/ids";
import { createCalls } from "../wire/calls";
import { createWire } from "../wire/client";
import { openDevice } from "./device";
import { watchHealth } from "./health";
import { keepIn } from "./keep";
import { createReads } from "./reads";
import { createSending } from "./sending";
import { createSession } from "./session";

export interface Ground {
  fetch: typeof fetch;
  clock: Clock;
  storageOf: () => Storage;
  random: () => number;
  online: () => boolean;
}

export type Portal = ReturnType<typeof createPortal>;

export function createPortal({ fetch, clock, storageOf, random, online }: Ground) {
  const keep = keepIn(storageOf);
  const wire = createWire({
    fetch,
    clock,
    csrfToken: () => session.session.peek()?.csrfToken ?? undefined,
  });
  const calls = createCalls(wire);
  const session = createSession(calls, keep);
  const reads = createReads(calls, clock, session.expire);
  const sending = createSending({
    calls,
    session,
    device: openDevice(keep, mintId),
    clock,
    mintId,
    random,
    onSaved: reads.lookAgainSoon,
  });
  const health = watchHealth({
    calls,
    clock,
    online,
    onReached(again) {
      if (again) sending.tryNow();
      reads.retryFailed();
      if (session.state.peek().phase === "unknown") void session.ask();
    },
  });

  let ownerBefore = "";
  effect(() => {
    const owner = session.owner.value;
    const signedIn = session.signedIn.value;
    const ownerNow = owner ? `${owner.orgId} ${owner.userId}` : "";
    untracked(() => {
      if (ownerNow !== ownerBefore) reads.forget();
      if (signedIn) {
        reads.retryFailed();
        // Signed in, health tells more: ask now rather than in 15 s.
        void health.ask();
      }
    });
    ownerBefore = ownerNow;
  });

  /** What a page still has to say in its person's name, asked for while they can send it. */
  const beforeSignOut = new Set<() => void>();

  // `wire`: for calls that only pages loaded later make, such as an administrator's.
  return { session, reads, sending, health, clock, beforeSignOut, wire };
}
