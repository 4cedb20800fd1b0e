/**
 * Which people left something on this device when they signed out, and how much: so that the sign-in page
 * can say so without opening anybody's outbox. Names are not told, only that it is there.
 */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Keep } from "./keep";

const KEY = "holdfast.sealed";

export interface Sealed {
  readonly count: number;
  /** When its person left, RFC 3339 UTC. */
  readonly since: string;
}

export type SealedNotes = ReturnType<typeof sealedIn>;

export function sealedIn(keep: Keep) {
  function read(): Record<string, Sealed> {
    try {
      const kept: unknown = JSON.parse(keep.get(KEY) ?? "{}");
      return typeof kept === "object" && kept !== null ? (kept as Record<string, Sealed>) : {};
    } catch {
      return {};
    }
  }

  const list = () => Object.values(read()).filter(isSealed);
  const all = signal(list());

  return {
    /** All that lies sealed on this device. */
    all: all as ReadonlySignal<readonly Sealed[]>,

    /** `sealed` undefined: its person is back, or left nothing. */
    note(mark: string, sealed: Sealed | undefined): void {
      const { [mark]: _before, ...others } = read();
      const now = sealed ? { ...others, [mark]: sealed } : others;
      keep.set(KEY, Object.keys(now).length > 0 ? JSON.stringify(now) : null);
      all.value = list();
    },
  };
}

const isSealed = (value: unknown): value is Sealed =>
  typeof value === "object" && value !== null && Number.isInteger((value as Partial<Sealed>).count);
