import type { Principal } from "./entry";

/**
 * The name under which a principal's database, lock, channel and mirror go: a hash, so that a list of
 * names tells nobody who used this device. It keeps names apart, it is no secret.
 */
export function nameOf({ orgId, userId }: Principal): string {
  let one = 0xdeadbeef;
  let other = 0x41c6ce57;
  for (const char of JSON.stringify([orgId, userId])) {
    const code = char.codePointAt(0) as number;
    one = Math.imul(one ^ code, 0x9e3779b1);
    other = Math.imul(other ^ code, 0x5f356495);
  }
  one = Math.imul(one ^ (one >>> 15), 0x735a2d97);
  other = Math.imul(other ^ (other >>> 15), 0xcaf649a9);
  const hex = (value: number) => (value >>> 0).toString(16).padStart(8, "0");
  return `holdfast-${hex(one ^ (other >>> 7))}${hex(other ^ (one >>> 9))}`;
}
