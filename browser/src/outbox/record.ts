/**
 * How an entry is written and read back. The checksum goes over every field, whatever a later build adds,
 * so builds on both sides of an update can prove each other's records.
 */
import { crc32 } from "../core/crc32";
import type { Entry } from "./entry";

/** An entry before its transaction has given it a number. */
export type Fresh = Omit<Entry, "seq" | "generation" | "checksum">;

/** Taken before the transaction opens: inside it only the number is added, and nothing is waited for. */
export const checksumOf = (fresh: object): string => crc32(JSON.stringify(fresh));

const numbered = (before: string, generation: unknown, seq: unknown): string =>
  crc32(` ${generation} ${seq}`, before);

export const seal = (fresh: Fresh, checksum: string, generation: number, seq: number): Entry => ({
  ...fresh,
  generation,
  seq,
  checksum: numbered(checksum, generation, seq),
});

/** The entry in a record of any version; undefined when it is not whole. */
export function unseal(record: unknown): Entry | undefined {
  const { generation, seq, checksum, ...fresh } = (record ?? {}) as Partial<Entry>;
  return checksum !== undefined && checksum === numbered(checksumOf(fresh), generation, seq)
    ? (record as Entry)
    : undefined;
}
