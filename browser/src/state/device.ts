/**
 * This device's name and its running number, by which the server notices a gap. The outbox will own
 * both: it raises the number in the same transaction that keeps the entry, and starts a new generation
 * when its database was lost. Until then two tabs may, rarely, give out one number twice.
 */
import type { Device } from "../wire/batch";
import type { Keep } from "./keep";

const KEY = "holdfast.device";

export interface NumberedDevice extends Device {
  nextSeq(): number;
}

interface Kept {
  deviceId: string;
  generation: number;
  lastSeq: number;
}

export function openDevice(keep: Keep, newDeviceId: () => string): NumberedDevice {
  const first = read(keep) ?? { deviceId: newDeviceId(), generation: 1, lastSeq: 0 };
  keep.set(KEY, JSON.stringify(first));
  let lastSeq = first.lastSeq;
  return {
    deviceId: first.deviceId,
    generation: first.generation,
    nextSeq() {
      // Another tab counts on the same line: go on from the higher of the two.
      lastSeq = Math.max(lastSeq, read(keep)?.lastSeq ?? 0) + 1;
      keep.set(KEY, JSON.stringify({ ...first, lastSeq }));
      return lastSeq;
    },
  };
}

function read(keep: Keep): Kept | undefined {
  try {
    const kept: unknown = JSON.parse(keep.get(KEY) ?? "null");
    return isKept(kept) ? kept : undefined;
  } catch {
    return undefined;
  }
}

function isKept(value: unknown): value is Kept {
  if (typeof value !== "object" || value === null) return false;
  const kept = value as Partial<Kept>;
  return (
    typeof kept.deviceId === "string" && Number.isInteger(kept.generation) && Number.isInteger(kept.lastSeq)
  );
}
