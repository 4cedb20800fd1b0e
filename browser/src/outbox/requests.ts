/** What is sent of entries, and by which call. */
import { batchText, type WrittenEvent } from "../wire/batch";
import type { SendingCalls } from "../wire/sending";
import type { Entry, Lane } from "./entry";
import { judge, judgeAssigned, judgeReceipts, type Verdict } from "./judge";
import type { Numbering } from "./store";

export const LARGEST_BATCH = 50;
export const LARGEST_BATCH_BYTES = 48_000;
export const PROGRESS_PATH = "/api/client/progress/batch";
const ANALYTICS_PATH = "/api/analytics/events/batch";

const utf8 = new TextEncoder();
export const bytesOf = (text: string): number => utf8.encode(text).length;

/** What stands around a payload in a batch, rounded up. */
const AROUND_PAYLOAD_BYTES = 400;

/** How much an entry adds to a batch. */
export const sizeOf = ({ payload }: Entry): number => bytesOf(payload) + AROUND_PAYLOAD_BYTES;

export const isBatch = (asked: unknown): boolean => asked === PROGRESS_PATH || asked === ANALYTICS_PATH;

export const pathOf = (lane: Lane): string => (lane === "analyticsQueue" ? ANALYTICS_PATH : PROGRESS_PATH);

/** The first of them that fit into one request; they share one numbering. */
export function fitting(
  entries: readonly Entry[],
  limit: number,
  largestBytes = LARGEST_BATCH_BYTES,
): Entry[] {
  let bytes = 0;
  const generation = entries[0]?.generation;
  const end = entries.findIndex((entry, at) => {
    bytes += sizeOf(entry);
    return at === limit || entry.generation !== generation || (at > 0 && bytes > largestBytes);
  });
  return entries.slice(0, end < 0 ? limit : end);
}

export const written = ({ id, kind, seq, orgId, createdAt, payload }: Entry): WrittenEvent => ({
  id,
  kind,
  orgId,
  occurredAt: createdAt,
  bodyText: payload,
  // Entries of the emergency path have no number.
  ...(seq > 0 && { seq }),
});

/** What became of one request. */
export interface Outcome extends Verdict {
  /** The lease's, as it was when the request left; undefined where no lease is needed. */
  epoch?: number | undefined;
}

export async function post(
  calls: SendingCalls,
  { deviceId }: Pick<Numbering, "deviceId">,
  entries: readonly Entry[],
): Promise<Verdict> {
  const [first] = entries as [Entry];
  const { lane, generation } = first;
  if (lane !== "adminQueue") {
    const text = batchText({ deviceId, generation }, entries.map(written));
    return judge(await calls.send(pathOf(lane), text), entries, judgeReceipts);
  }
  const { courseId, ...body } = JSON.parse(first.payload);
  const verb = first.kind === "course.assigned" ? "assign" : "unassign";
  const { id, orgId, seq } = first;
  const answer = await calls.assign(
    `/api/admin/courses/${encodeURIComponent(courseId)}/${verb}`,
    JSON.stringify({ ...body, id, orgId, ...(seq > 0 && { deviceId, generation, seq }) }),
  );
  return judge(answer, entries, judgeAssigned);
}
