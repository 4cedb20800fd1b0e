/** Entries that a beacon sent as an earlier page went: nobody heard the answer, so the server is asked. */
import type { SendingCalls } from "../wire/sending";
import { nothing } from "./judge";
import type { Shelves } from "./shelves";
import type { Numbering } from "./store";

/** True when some of them had arrived, so that they wait no more. */
export async function settleArrived(
  ids: readonly string[],
  calls: SendingCalls,
  { deviceId, generation }: Pick<Numbering, "deviceId" | "generation">,
  shelves: Shelves,
  epoch: number | undefined,
): Promise<boolean> {
  const waiting = ids.length > 0 ? await shelves.waiting() : [];
  const asked = waiting.filter(({ id }) => ids.includes(id));
  if (asked.length === 0) return false;
  const answer = await calls.whichArrived(
    JSON.stringify({ deviceId, generation, ids: asked.map(({ id }) => id) }),
  );
  const arrived = answer.ok ? asked.filter(({ id }) => answer.value.held.includes(id)) : [];
  if (arrived.length === 0) return false;
  return shelves.settle({ ...nothing(), settled: arrived.map((entry) => [entry, "accepted"]), epoch });
}
