/** CRC-32 as zlib and Ethernet compute it (reflected, polynomial EDB88320): 8 hex digits over the exact bytes. */
const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

const utf8 = new TextEncoder();

export function crc32(text: string): string {
  let crc = 0xffffffff;
  for (const byte of utf8.encode(text)) crc = (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ((crc ^ 0xffffffff) >>> 0).toString(16).padStart(8, "0");
}
