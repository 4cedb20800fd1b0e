/**
 * The port to where entries are kept; its engines are IndexedDB and memory.
 *
 * Durability: a write that resolves is complete (strict: the system was asked to flush it to the disk);
 * one that rejects changed nothing that will be seen later. Order: writes of one store take effect one
 * after another, those of other tabs in between. Errors: rejects with what the engine said.
 */
import type { Lane } from "./entry";
import type { Ranges } from "./ranges";

/** Entries lie at [lane, seq]; all else lies at its id. */
export type Shelf = "entries" | "undeliverable" | "losses" | "answers";
export const SHELVES: readonly Shelf[] = ["entries", "undeliverable", "losses", "answers"];
export type Key = string | readonly [Lane, number];

export function keyIn(shelf: Shelf, record: object): Key {
  const { lane, seq, id } = record as { lane: Lane; seq: number; id: string };
  return shelf === "entries" ? [lane, seq] : id;
}

/** A numbering of this device. */
export interface Numbering {
  readonly deviceId: string;
  readonly generation: number;
  /** The highest number given out. */
  readonly lastSeq: number;
  /** Numbers that ended here without the server's counting them: no loss. */
  readonly gone: Ranges;
}

export const isSameNumbering = (
  one: Pick<Numbering, "deviceId" | "generation">,
  other: Pick<Numbering, "deviceId" | "generation">,
): boolean => one.deviceId === other.deviceId && one.generation === other.generation;

/** Whether some of its numbers are not accounted for. */
export const isOpen = ({ lastSeq, gone: [first] }: Numbering): boolean =>
  first?.[0] !== 1 || first[1] < lastSeq;

/** What the database knows about itself; one record, in every write's transaction. */
export interface Meta extends Numbering {
  readonly orgId: string;
  readonly userId: string;
  /** Raised by each tab that takes over sending. */
  readonly epoch: number;
  /** When the sending tab last said that it lives, by the device's clock. */
  readonly beatAtMs: number;
  /**
   * Numberings that ended with a database: those that are open are still to be compared with the server's
   * numbers. What was compared stays, all of it gone, for a tab that knows less may bring it up again.
   */
  readonly suspects: readonly Numbering[];
}

export interface Change {
  readonly meta?: Meta;
  readonly put?: readonly (readonly [Shelf, object])[];
  readonly drop?: readonly (readonly [Shelf, Key])[];
}

/** A key and its record; the record is undefined when it can't be read any more. */
export type Found = readonly [key: Key, record: unknown];

export interface Counts {
  readonly lanes: Readonly<Record<Lane, { readonly count: number; readonly oldest: unknown }>>;
  readonly undeliverable: number;
  readonly losses: number;
}

export interface Store {
  /**
   * One transaction: hands the meta record to `decide`, which says at once what shall change, and makes
   * that change. `decide` may be called again when a dead handle was replaced; undefined changes nothing.
   */
  write(decide: (meta: Meta | undefined) => Change | undefined, strict: boolean): Promise<void>;
  /** Records in the order of their keys; of a lane, those after number `after`; at most `limit`. */
  read(shelf: Shelf, lane?: Lane, limit?: number, after?: number): Promise<Found[]>;
  /** The numbers of all entries. */
  numbers(): Promise<number[]>;
  counts(): Promise<Counts>;
  close(): void;
}
