/**
 * UUIDv7 (RFC 9562): 48 bits of time, then a counter of 12 bits, then 62 random bits.
 *
 * Ids from one minter never go backwards, even when the device's clock does: events made in one
 * millisecond keep their order, and an id is never minted twice.
 */
export type RandomBytes = (count: number) => Uint8Array;

const secureBytes: RandomBytes = (count) => crypto.getRandomValues(new Uint8Array(count));

const COUNTER_END = 0x1000;

export function idMinter(now: () => number = Date.now, randomBytes: RandomBytes = secureBytes): () => string {
  let lastMs = -1;
  let counter = 0;

  return () => {
    const bytes = randomBytes(16);
    const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
    const nowMs = now();
    if (nowMs > lastMs) {
      lastMs = nowMs;
      // Start in the lower half, so that a burst within this millisecond has room to count up.
      counter = view.getUint16(6) & 0x07ff;
    } else {
      counter += 1;
      if (counter === COUNTER_END) {
        lastMs += 1;
        counter = 0;
      }
    }
    view.setUint16(0, Math.floor(lastMs / 0x1_0000_0000));
    view.setUint32(2, lastMs % 0x1_0000_0000);
    view.setUint16(6, 0x7000 | counter);
    view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80);
    return spell(bytes);
  };
}

function spell(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** The page's one minter: two would each be in order, but not together. */
export const mintId = idMinter();
