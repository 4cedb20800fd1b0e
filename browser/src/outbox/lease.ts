/**
 * One tab sends. Who holds the Web Lock writes an epoch and a beat into the database; whatever a sender
 * settles is refused when the epoch is another by then. A frozen tab keeps its lock, so a lock whose beat
 * stopped is stolen. Without Web Locks, or where they are denied, every tab may send: the server's
 * idempotency keeps it right, at the price of some requests.
 */
import type { Clock } from "../core/clock";
import type { Book } from "./book";
import type { Page } from "./parts";

const BEAT_MS = 5_000;
const STALE_MS = 15_000;
/** Browsers let hidden tabs' timers ring once a minute, so a hidden tab neither beats nor judges faster. */
const STALE_FOR_HIDDEN_MS = 90_000;
/** That of a tab which may not send: no database ever says it. */
const NO_EPOCH = -1;

export interface Lease {
  /** Whether this tab may send. */
  holds(): boolean;
  /** What the database must still say when what is sent now is settled; undefined where there are no locks. */
  epoch(): number | undefined;
  /** Another tab has taken over. */
  lost(): void;
  /** A tab that is seen asks for the place. */
  asked(): void;
  close(): void;
}

export function takeLease(
  locks: LockManager | null | undefined,
  name: string,
  book: Book,
  clock: Clock,
  page: Page | undefined,
  /** Asks whoever sends, unseen, to leave the place to this tab. */
  askForSeat: () => void,
  changed: () => void,
): Lease {
  let epoch: number | undefined;
  let away = false;
  let leave: () => void = () => {};
  let waitsForLock: AbortController | undefined;
  let cancelWatch = () => {};
  /** No locks are to be had: every tab may send. */
  let free = !locks;

  async function contend(steal = false): Promise<void> {
    if (away || free || (waitsForLock && !steal)) return;
    waitsForLock?.abort();
    const mine = new AbortController();
    waitsForLock = mine;
    try {
      await locks?.request(name, steal ? { steal } : { signal: mine.signal }, () =>
        mine === waitsForLock ? hold(mine) : undefined,
      );
    } catch (fault) {
      // Stolen, or no longer wanted; or else denied, which asking again would not change.
      free ||= (fault as Error).name !== "AbortError";
    }
    if (mine !== waitsForLock) return;
    waitsForLock = undefined;
    end();
    if (free) changed();
    // Behind whoever came next.
    else clock.after(0, () => void contend());
  }

  async function hold(mine: AbortController): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      leave = resolve;
    });
    let taken = 0;
    try {
      await book.write((meta) => {
        taken = meta.epoch + 1;
        return { meta: { ...meta, epoch: taken, beatAtMs: clock.now() } };
      }, false);
    } catch {
      // A full disk takes no beat, and only sending frees it: the lock alone has to do.
      taken = book.known().epoch;
    }
    if (mine !== waitsForLock || away) return;
    epoch = taken;
    changed();
    await ended;
  }

  function end(): void {
    leave();
    if (epoch === undefined) return;
    epoch = undefined;
    changed();
  }

  async function beatOrWatch(): Promise<void> {
    if (epoch !== undefined) {
      const mine = epoch;
      let current = mine;
      await book.write((meta) => {
        current = meta.epoch;
        return current === mine ? { meta: { ...meta, beatAtMs: clock.now() } } : undefined;
      }, false);
      if (current !== mine) end();
      return;
    }
    if (page?.visible()) askForSeat();
    await book.write(() => undefined, false);
    const sinceMs = Math.abs(clock.now() - book.known().beatAtMs);
    const staleMs = page && !page.visible() ? STALE_FOR_HIDDEN_MS : STALE_MS;
    if (waitsForLock && epoch === undefined && sinceMs > staleMs) void contend(true);
  }

  function watch(): void {
    cancelWatch = clock.after(BEAT_MS, () => {
      if (free) return;
      if (!away) beatOrWatch().catch(() => {});
      watch();
    });
  }

  const stopListening = page?.listen((change) => {
    if (change === "gone") {
      away = true;
      // Also where it still waits for the lock: a tab that does not run must not be given it.
      waitsForLock?.abort();
      end();
    } else if (change === "seen") {
      away = false;
      if (!free && epoch === undefined) askForSeat();
      void contend();
    }
  });

  watch();
  void contend();
  return {
    holds: () => free || epoch !== undefined,
    epoch: () => (free ? undefined : (epoch ?? NO_EPOCH)),
    lost: end,
    asked() {
      if (!page?.visible()) end();
    },
    close() {
      away = true;
      free = false;
      cancelWatch();
      stopListening?.();
      waitsForLock?.abort();
      end();
    },
  };
}
