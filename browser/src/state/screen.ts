/**
 * What a reload would wipe off the screen: taken down before an update, given back after it. It lives with
 * the tab, for the same address only, and once.
 */
import type { Keep } from "./keep";

const KEY = "holdfast.screen";

export type Screen = ReturnType<typeof createScreen>;

export function createScreen(tabKeep: Keep, address: () => string) {
  const readers = new Map<string, () => unknown>();
  const back = restoredFrom(tabKeep, address());
  tabKeep.set(KEY, null);

  return {
    /** A page says how to read what it would lose; the answer takes that back. */
    rememberScreen(name: string, read: () => unknown): () => void {
      readers.set(name, read);
      return () => {
        if (readers.get(name) === read) readers.delete(name);
      };
    },

    /** What was there before the reload; each thing is given back once. */
    restored(name: string): unknown {
      const value = back.get(name);
      back.delete(name);
      return value;
    },

    /** Takes everything down. A reader that fails loses its own only. */
    save(): void {
      const values = [...readers].flatMap(([name, read]) => {
        try {
          const value = read();
          return value === undefined ? [] : [[name, value]];
        } catch {
          return [];
        }
      });
      tabKeep.set(KEY, JSON.stringify({ address: address(), values }));
    },
  };
}

function restoredFrom(keep: Keep, address: string): Map<string, unknown> {
  try {
    const kept = JSON.parse(keep.get(KEY) ?? "null");
    return new Map(kept?.address === address && Array.isArray(kept.values) ? kept.values : []);
  } catch {
    return new Map();
  }
}
