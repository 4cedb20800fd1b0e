/**
 * A last word as the page goes: what this tab added and has no receipt for, newest first, as far as a beacon
 * carries it. Nobody answers a beacon, so it deletes nothing; the next start asks which entries arrived.
 */
import { batchText } from "../wire/batch";
import type { Book } from "./book";
import type { Entry, Lane } from "./entry";
import type { Mirror } from "./parts";
import type { PassKeeper } from "./pass";
import { bytesOf, fitting, LARGEST_BATCH_BYTES, pathOf, sizeOf, written } from "./requests";

const MOST_EVENTS = 100;
const LANES: readonly Lane[] = ["progressQueue", "analyticsQueue"];

export interface Beacon {
  /** An entry of this tab that has no receipt yet. */
  added(entry: Entry): void;
  ended(id: string): void;
  send(): void;
  /** What earlier pages sent by beacon and did not hear of; forgets it. */
  unanswered(): string[];
}

export function createBeacon(
  key: string,
  mirror: Mirror | undefined,
  sendBeacon: ((path: string, body: Blob) => boolean) | undefined,
  book: Book,
  pass: PassKeeper,
): Beacon {
  /** Oldest first. */
  const open = new Map<string, Entry>();
  const sent = new Set<string>();

  /** Half as much where the browser refuses: the newest half. */
  function trySending(path: string, csrfToken: string, entries: Entry[]): number {
    const [newest] = entries;
    if (!newest) return 0;
    const from = { deviceId: book.known().deviceId, generation: newest.generation };
    const events = batchText(from, entries.toReversed().map(written)).slice(1);
    const text = `{"csrfToken":${JSON.stringify(csrfToken)},${events}`;
    // Its address says whose it is: a beacon carries no header, and the worker leaves the outbox alone.
    if (sendBeacon?.(`${path}?outbox`, new Blob([text], { type: "text/plain" }))) {
      for (const { id } of entries) sent.add(id);
      return bytesOf(text);
    }
    return trySending(path, csrfToken, entries.slice(0, Math.floor(entries.length / 2)));
  }

  function read(): string[] {
    try {
      return JSON.parse(mirror?.get(key) ?? "[]");
    } catch {
      return [];
    }
  }

  return {
    added: (entry) => void open.set(entry.id, entry),
    ended(id) {
      open.delete(id);
      sent.delete(id);
    },
    send() {
      const csrfToken = pass.token();
      if (!csrfToken) return;
      // Browsers bound all beacons of a page together at 64 KiB; this leaves room for those of others.
      let leftBytes = LARGEST_BATCH_BYTES;
      for (const lane of LANES) {
        const newest = [...open.values()]
          .reverse()
          .filter((one) => one.lane === lane && !sent.has(one.id) && sizeOf(one) <= leftBytes);
        const entries = fitting(newest, MOST_EVENTS, leftBytes);
        leftBytes -= trySending(pathOf(lane), csrfToken, entries);
      }
      try {
        if (sent.size > 0) mirror?.set(key, JSON.stringify([...new Set([...read(), ...sent])].slice(-1_000)));
      } catch {
        // Then the next start sends them again, and the server knows them.
      }
    },
    unanswered() {
      const ids = read();
      try {
        mirror?.set(key, null);
      } catch {
        // Asked once more at the next start.
      }
      return ids;
    },
  };
}
