/**
 * The outbox of whoever uses the page: opened when they sign in (or are remembered offline), closed and
 * sealed when they leave. The law: a page writes only through `add`.
 */
import { computed, effect, type ReadonlySignal, signal, untracked } from "@preact/signals";
import type { Principal, Undeliverable } from "../outbox/entry";
import type { Status } from "../outbox/port";
import { type Draft, type Entry, isOpen, isWork } from "./entries";
import type { SealedNotes } from "./sealed";
import { markOf, type Owner, type SessionKeeper, sameOwner } from "./session";
import { NOTHING_KNOWN, type OutboxWatch, type WatchParts, watchOutbox } from "./watch-outbox";

export interface OutboxParts extends WatchParts {
  session: Pick<SessionKeeper, "owner" | "holder" | "signedIn" | "expire">;
  sealed: SealedNotes;
}

export type OutboxState = ReturnType<typeof createOutboxState>;

export function createOutboxState(parts: OutboxParts) {
  const { session } = parts;
  const current = signal<OutboxWatch | undefined>(undefined);
  /** Each person's, until theirs is closed. */
  const watches = signal<ReadonlyMap<string, OutboxWatch>>(new Map());
  /** One person's next outbox opens when their last one is closed. */
  const closings = new Map<string, Promise<void>>();

  effect(() => {
    const holder = session.holder.value;
    untracked(() => turnTo(holder));
  });

  // Signing in again sends what waited for it.
  effect(() => {
    if (session.signedIn.value) untracked(() => current.value?.sendNow());
  });

  // The sender is often the first to hear that a session has ended.
  let wasHeld = false;
  effect(() => {
    const held = lanesOf(current.value).some(({ state }) => state.name === "held" && state.why === "signIn");
    if (held && !wasHeld) untracked(session.expire);
    wasHeld = held;
  });

  function turnTo(holder: Owner | undefined): void {
    const before = current.peek();
    if (sameOwner(before?.owner, holder)) return;
    if (holder) parts.sealed.note(markOf(holder), undefined);
    current.value = holder && watchOf(holder);
    if (before) void retire(before);
  }

  function watchOf(owner: Owner): OutboxWatch {
    const mark = markOf(owner);
    const known = watches.peek().get(mark);
    if (known) return known;
    const closing = closings.get(mark);
    const watch = watchOutbox(
      { orgId: owner.orgId, userId: owner.userId },
      {
        ...parts,
        open: (principal: Principal) => Promise.resolve(closing).then(() => parts.open(principal)),
      },
    );
    watches.value = new Map(watches.peek()).set(mark, watch);
    return watch;
  }

  /** Closes an outbox that is nobody's page any more; what only this page has keeps it open. */
  async function retire(watch: OutboxWatch): Promise<void> {
    await watch.added();
    await nothingAtRisk(watch);
    const mark = markOf(watch.owner);
    if (watch === current.peek() || watches.peek().get(mark) !== watch) return;
    const count = watch.entries.peek().filter((entry) => isWork(entry) && isOpen(entry)).length;
    if (count > 0) parts.sealed.note(mark, { count, since: new Date(parts.clock.now()).toISOString() });
    const others = new Map(watches.peek());
    others.delete(mark);
    watches.value = others;
    const closing = watch.close().catch(() => {});
    closings.set(mark, closing);
    await closing;
    if (closings.get(mark) === closing) closings.delete(mark);
  }

  /**
   * Keeps an event and answers its id at once; its state is in `entries`. It belongs to the page's person,
   * or to `by`, who may have left meanwhile: then it goes into their outbox.
   */
  function add(draft: Draft, by?: Owner): string {
    const owner = by ?? session.owner.peek();
    if (owner === undefined) throw new Error("an event needs somebody who did it");
    const watch = watchOf(owner);
    const id = watch.add(draft);
    if (watch !== current.peek()) void retire(watch);
    return id;
  }

  const entries: ReadonlySignal<readonly Entry[]> = computed(() => current.value?.entries.value ?? []);
  const status: ReadonlySignal<Status> = computed(() => current.value?.status.value ?? NOTHING_KNOWN);
  /** Whether what waited from before has been read. */
  const ready: ReadonlySignal<boolean> = computed(() => current.value?.ready.value ?? false);
  const undeliverable: ReadonlySignal<readonly Undeliverable[]> = computed(
    () => current.value?.undeliverable.value ?? [],
  );

  return {
    add,
    /** What the page's person did and this page knows of, oldest first. */
    entries,
    status,
    offlineQueueBacklog: computed(() => status.value.backlog),
    undeliverable,
    losses: computed(() => current.value?.losses.value ?? []),
    ready,
    /** Whether nothing can wait that this page does not know of: what a device can't keep may lie aside, unread. */
    isAllKnown: computed(() => ready.value && status.value.storage === "safe"),
    /** A person's work that the server has not said yes or no to. */
    openWork: computed(() => entries.value.filter((entry) => isWork(entry) && isOpen(entry))),
    /** A person's work that the server will not have, until they put it away. */
    refusedWork: computed(() => undeliverable.value.filter(({ entry }) => isWork(entry))),
    /** Work that closing this page could lose, whoever did it. */
    atRisk: computed(() => [...watches.value.values()].reduce((sum, { atRisk }) => sum + atRisk.value, 0)),
    /** Among that, what somebody did who has left. Nobody else reads it; only that it is there is said. */
    atRiskOfOthers: computed(() =>
      [...watches.value.values()].reduce(
        (sum, watch) => sum + (watch === current.value ? 0 : watch.atRisk.value),
        0,
      ),
    ),

    sendNow: (): void => current.peek()?.sendNow(),
    putAway: async (id: string): Promise<void> => current.peek()?.putAway(id),
    tryAgain: async (id: string): Promise<boolean> => (await current.peek()?.tryAgain(id)) ?? false,
    discardAll: async (): Promise<number> => (await current.peek()?.discardAll()) ?? 0,
    /** Every event added so far is on the device, or known not to be. */
    added: async (): Promise<void> => current.peek()?.added(),
    beacon: (): void => current.peek()?.beacon(),
  };
}

const lanesOf = (watch: OutboxWatch | undefined) => Object.values(watch?.status.value.lanes ?? {});

function nothingAtRisk({ atRisk }: OutboxWatch): Promise<void> {
  return new Promise((resolve) => {
    const stop = atRisk.subscribe((count) => {
      if (count > 0) return;
      resolve();
      // The first call comes before `stop` is there.
      queueMicrotask(() => stop());
    });
  });
}
