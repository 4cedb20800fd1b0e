/**
 * One tab of a browser leads: it holds the one stream, the others hear from it. HTTP/1.1 leaves six
 * connections to a host, and seven tabs with a stream each would load nothing more (measured: the seventh
 * tab's page itself never comes).
 *
 * A Web Lock makes the leader, but a frozen tab keeps its lock. So the leader's news count as its beat, and
 * a lock whose holder is not heard is taken from it (`steal`); the holder learns of it when it thaws.
 */
import type { Clock } from "../core/clock";

const LOCK = "holdfast.runtime-status";
export const BEAT_MS = 5_000;
export const PATIENCE_MS = 12_000;
/** Browsers let a hidden tab's timers run once a minute: from there a leader's silence says less. */
export const HIDDEN_PATIENCE_MS = 150_000;

export interface LeadershipParts {
  locks: Pick<LockManager, "request">;
  clock: Clock;
  visible: () => boolean;
  lead: () => void;
  follow: () => void;
  /** Say that the leader is there. */
  beat: () => void;
  /** No lock is to be had here, as where a site may store nothing: asking again would not change it. */
  denied: () => void;
}

export interface Leadership {
  readonly leads: boolean;
  /** The leader was heard. */
  heard(): void;
  /** The tab is about to be frozen or closed: let another lead at once. */
  resign(): void;
  /** Stand for it (again). */
  stand(): void;
}

export function standForLeader({
  locks,
  clock,
  visible,
  lead,
  follow,
  beat,
  denied,
}: LeadershipParts): Leadership {
  let leads = false;
  /** Counts candidacies: what an older one still hears is no news. */
  let turn = 0;
  let lastHeardMs = clock.elapsed();
  let release = () => {};
  let waiting: AbortController | undefined;
  let cancelTimer = () => {};

  function stand(steal = false): void {
    turn += 1;
    const mine = turn;
    waiting?.abort();
    waiting = new AbortController();
    lastHeardMs = clock.elapsed();
    // A theft is granted at once, and may not carry a signal.
    const options: LockOptions = steal ? { steal: true } : { signal: waiting.signal };
    locks.request(LOCK, options, () => hold(mine)).catch((fault: Error) => mine === turn && refused(fault));
    watch();
  }

  function hold(mine: number): Promise<void> | undefined {
    if (mine !== turn) return undefined;
    leads = true;
    lead();
    return new Promise((resolve) => {
      release = resolve;
    });
  }

  /** Taken from us while we were frozen, or not to be had at all. (What we aborted ourselves is an older turn.) */
  function refused({ name }: Error): void {
    step();
    if (name === "AbortError") stand();
    else {
      cancelTimer();
      denied();
    }
  }

  function step(): void {
    if (!leads) return;
    leads = false;
    follow();
  }

  function watch(): void {
    cancelTimer();
    cancelTimer = clock.after(BEAT_MS, () => {
      if (leads) beat();
      else if (clock.elapsed() - lastHeardMs > (visible() ? PATIENCE_MS : HIDDEN_PATIENCE_MS)) {
        stand(true);
        return;
      }
      watch();
    });
  }

  stand();

  return {
    get leads() {
      return leads;
    },
    heard() {
      lastHeardMs = clock.elapsed();
    },
    resign() {
      turn += 1;
      cancelTimer();
      waiting?.abort();
      release();
      step();
    },
    stand() {
      if (!leads) stand();
    },
  };
}
