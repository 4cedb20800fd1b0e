/**
 * Entries the database would not take. They wait in this tab's memory and, where there is room, in a small
 * journal in localStorage; they are sent from here, and go into the database as soon as it takes them.
 */
import type { Clock } from "../core/clock";
import type { Entry, Lane } from "./entry";
import type { Mirror } from "./parts";
import type { Fresh } from "./record";

/** localStorage is small, synchronous and shared with the whole site. */
const JOURNAL_CHARS = 256_000;
const FIRST_PROBE_MS = 2_000;
const LONGEST_PROBE_MS = 60_000;

export interface Aside {
  isSafe(): boolean;
  /** Whether reading is worth a try: a full disk still gives back what it has. */
  isReadable(): boolean;
  /** The storage failed, perhaps even to read: from now on it is asked again only now and then. */
  failed(reading: boolean): void;
  /** Sets an entry aside; resolves with whether the server took it at once. */
  take(fresh: Fresh, generation: number): Promise<boolean>;
  /** All of a lane, or of all lanes. */
  of(lane?: Lane): Entry[];
  has(id: string): boolean;
  /** The entry is elsewhere now; `sent`: on the server. */
  drop(id: string, sent: boolean): void;
  /** An attempt to send it did not work; it stays. */
  notSent(id: string): void;
  /** Tries the storage again, with what waits here. */
  probe(): Promise<void>;
  close(): void;
}

export function openAside(
  journalKey: string,
  mirror: Mirror | undefined,
  clock: Clock,
  /** Keeps one in the database. */
  keep: (fresh: Fresh) => Promise<Entry>,
  /** A write that shows whether the storage takes one. */
  tryStorage: () => Promise<void>,
  kept: (entry: Entry) => void,
  changed: () => void,
): Aside {
  const entries = new Map<string, Entry>();
  const told = new Map<string, (sent: boolean) => void>();
  let safe = true;
  let readable = true;
  let probeMs = FIRST_PROBE_MS;
  let cancelProbe = () => {};
  let probing: Promise<void> | undefined;

  const keyOf = (id: string): string => `${journalKey}.${id}`;

  function journal(id: string, text: string | null): void {
    try {
      mirror?.set(keyOf(id), text);
    } catch {
      // No room: the entry is in memory alone, and the screen says that it is not safe.
    }
  }

  function journalled(): Entry[] {
    try {
      const keys = mirror?.keys().filter((key) => key.startsWith(keyOf(""))) ?? [];
      return keys.flatMap((key) => JSON.parse(mirror?.get(key) ?? "[]") as Entry);
    } catch {
      return [];
    }
  }

  function put(entry: Entry): void {
    entries.set(entry.id, entry);
    const text = JSON.stringify(entry);
    const used = journalled().reduce((sum, { payload }) => sum + payload.length, 0);
    if (used + text.length <= JOURNAL_CHARS) journal(entry.id, text);
  }

  function drop(id: string, sent: boolean): void {
    entries.delete(id);
    journal(id, null);
    told.get(id)?.(sent);
    told.delete(id);
  }

  function failed(reading: boolean): void {
    if (reading) readable = false;
    if (safe) {
      safe = false;
      probeMs = FIRST_PROBE_MS;
      changed();
    }
    cancelProbe();
    cancelProbe = clock.after(probeMs, () => void probe());
    probeMs = Math.min(LONGEST_PROBE_MS, probeMs * 2);
  }

  async function rescue(): Promise<void> {
    try {
      await tryStorage();
      for (const { seq, generation, checksum, ...fresh } of [...entries.values()]) {
        const entry = await keep(fresh);
        drop(fresh.id, false);
        kept(entry);
      }
      cancelProbe();
      if (!safe) {
        safe = readable = true;
        changed();
      }
    } catch {
      failed(false);
    }
  }

  function probe(): Promise<void> {
    probing ??= rescue().finally(() => {
      probing = undefined;
    });
    return probing;
  }

  // What an earlier page could not keep.
  for (const entry of journalled()) entries.set(entry.id, entry);

  return {
    isSafe: () => safe,
    isReadable: () => readable,
    failed,
    take(fresh, generation) {
      told.get(fresh.id)?.(false);
      put({ ...fresh, generation, seq: 0, checksum: "" });
      return new Promise((resolve) => told.set(fresh.id, resolve));
    },
    of: (lane) => [...entries.values()].filter((entry) => entry.lane === (lane ?? entry.lane)),
    has: (id) => entries.has(id),
    drop,
    notSent(id) {
      told.get(id)?.(false);
    },
    probe,
    close: () => cancelProbe(),
  };
}
