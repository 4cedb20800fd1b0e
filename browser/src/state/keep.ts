/**
 * The little this page keeps in localStorage. A browser may forbid it or be out of room; then the page
 * goes on with its own memory, because none of this is a learner's work.
 */
export interface Keep {
  get(key: string): string | null;
  set(key: string, value: string | null): void;
}

export function keepIn(storageOf: () => Storage): Keep {
  const memory = new Map<string, string>();
  return {
    get(key) {
      try {
        return storageOf().getItem(key) ?? memory.get(key) ?? null;
      } catch {
        return memory.get(key) ?? null;
      }
    },
    set(key, value) {
      memory.delete(key);
      try {
        if (value === null) storageOf().removeItem(key);
        else storageOf().setItem(key, value);
      } catch {
        if (value !== null) memory.set(key, value);
      }
    },
  };
}
