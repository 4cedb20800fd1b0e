/**
 * The text of a batch. A checksum is taken over the exact bytes of an event's body, so the body is put
 * into the request as the text it was minted as: it is never parsed and written again on its way.
 */
import { crc32 } from "../core/crc32";

export interface WrittenEvent {
  readonly id: string;
  readonly kind: string;
  /** Absent for an event that the device could not number. */
  readonly seq?: number;
  readonly orgId: string;
  readonly occurredAt: string;
  /** JSON, written once. */
  readonly bodyText: string;
}

export interface Device {
  readonly deviceId: string;
  readonly generation: number;
}

/** The newest shape of every kind this page can send. */
const KIND_VERSION = 1;

export function batchText(device: Device, events: readonly WrittenEvent[]): string {
  const { deviceId, generation } = device;
  const head = JSON.stringify({ deviceId, generation });
  return `${head.slice(0, -1)},"events":[${events.map(eventText).join(",")}]}`;
}

function eventText(event: WrittenEvent): string {
  const { id, kind, seq, orgId, occurredAt, bodyText } = event;
  const head = JSON.stringify({
    id,
    kind,
    version: KIND_VERSION,
    seq,
    orgId,
    occurredAt,
    checksum: crc32(bodyText),
  });
  return `${head.slice(0, -1)},"body":${bodyText}}`;
}
