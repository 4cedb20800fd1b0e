/**
 * Answers begun and not given yet. They live with the tab, through reloads and updates; they are no
 * learner's work yet, and go when their person signs out.
 */
import type { Keep } from "./keep";

const PREFIX = "holdfast.half";

export type HalfTyped = ReturnType<typeof halfTypedIn>;

export function halfTypedIn(keep: Keep) {
  const keyOf = (owner: string, place: string) => `${PREFIX} ${owner} ${place}`;
  const indexKey = (owner: string) => `${PREFIX} ${owner}`;
  const places = (owner: string): string[] => listIn(keep.get(indexKey(owner)));

  return {
    get: (owner: string, place: string): string[] | undefined => {
      const kept = keep.get(keyOf(owner, place));
      return kept === null ? undefined : listIn(kept);
    },
    /** undefined: given by now, or taken back. */
    set(owner: string, place: string, chosen: readonly string[] | undefined): void {
      const others = places(owner).filter((other) => other !== place);
      const now = chosen === undefined ? others : [...others, place];
      keep.set(keyOf(owner, place), chosen === undefined ? null : JSON.stringify(chosen));
      keep.set(indexKey(owner), now.length > 0 ? JSON.stringify(now) : null);
    },
    forget(owner: string): void {
      for (const place of places(owner)) keep.set(keyOf(owner, place), null);
      keep.set(indexKey(owner), null);
    },
  };
}

function listIn(text: string | null): string[] {
  try {
    const kept: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(kept) ? kept.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}
