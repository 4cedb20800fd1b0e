/**
 * CRC-32 as zlib and Ethernet compute it (reflected, polynomial EDB88320): 8 hex digits over the exact bytes.
 * `before` is the answer for the text that stood before this one: then it is over both together.
 */
const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

const utf8 = new TextEncoder();

export function crc32(text: string, before = "0"): string {
  let crc = ~Number.parseInt(before, 16);
  for (const byte of utf8.encode(text)) crc = (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ((crc ^ 0xffffffff) >>> 0).toString(16).padStart(8, "0");
}
