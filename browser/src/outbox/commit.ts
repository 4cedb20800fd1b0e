/**
 * Group commit: while one transaction runs, callers gather for the next, and all of one are told together
 * when it is complete. Strict costs the same for a hundred entries as for one.
 */
import type { Book } from "./book";
import type { Entry } from "./entry";
import { checksumOf, type Fresh, seal } from "./record";

/** Beyond about a hundred records a transaction takes longer without writing more per second. */
const LARGEST_COMMIT = 100;

interface Caller {
  fresh: Fresh;
  checksum: string;
  kept: (entry: Entry) => void;
  failed: (fault: unknown) => void;
}

export interface Keeper {
  /** Resolves with the entry once its transaction is complete; rejects when the whole transaction failed. */
  keep(fresh: Fresh): Promise<Entry>;
  /** Resolves when nothing is being kept any more. */
  idle(): Promise<void>;
}

export function createKeeper(book: Book): Keeper {
  const callers: Caller[] = [];
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    while (callers.length > 0) {
      const group = callers.splice(0, LARGEST_COMMIT);
      let entries: Entry[] = [];
      try {
        await book.write(
          (meta) => {
            entries = group.map(({ fresh, checksum }, at) =>
              seal(fresh, checksum, meta.generation, meta.lastSeq + 1 + at),
            );
            return {
              meta: { ...meta, lastSeq: meta.lastSeq + group.length },
              put: entries.map((entry) => ["entries", entry]),
            };
          },
          group.some(({ fresh }) => fresh.lane !== "analyticsQueue"),
        );
        for (const [at, { kept }] of group.entries()) kept(entries[at] as Entry);
      } catch (fault) {
        for (const { failed } of group) failed(fault);
      }
    }
    running = undefined;
  }

  return {
    keep: (fresh) =>
      new Promise((kept, failed) => {
        callers.push({ fresh, checksum: checksumOf(fresh), kept, failed });
        running ??= run();
      }),
    idle: async () => running,
  };
}
