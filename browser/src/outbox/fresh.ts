/** An event as a page hands it over, made an entry that only lacks its number. */
import { type Draft, ENTRY_VERSION, laneOf, largestPayloadKb, type Principal } from "./entry";
import type { Fresh } from "./record";
import { bytesOf } from "./requests";

export function freshOf(
  { id, kind, payload, lane = laneOf(kind), label, createdAt }: Draft,
  { orgId, userId }: Principal,
  mintId: () => string,
  nowMs: number,
): Fresh {
  const largestKb = largestPayloadKb(lane);
  if (bytesOf(payload) > largestKb * 1024) throw new RangeError(`a payload has at most ${largestKb} KB`);
  // A payload stands in its request as it is: one that is no JSON would spoil its neighbours.
  JSON.parse(payload);
  return {
    id: (id ?? mintId()).toLowerCase(),
    lane,
    kind,
    orgId,
    userId,
    ...(lane === "adminQueue" && { assignedBy: userId }),
    createdAt: createdAt ?? new Date(nowMs).toISOString(),
    version: ENTRY_VERSION,
    payload,
    ...(label !== undefined && { label }),
  };
}
