/** How long something may wait in silence. A tunnel or a lesson without a network is shorter. */
const WARN_AFTER_MS = 60 * 60_000;
export const WARN_AFTER_WORDS = "an hour";

export const isOverdue = (createdAt: string, nowMs: number): boolean =>
  nowMs - new Date(createdAt).getTime() > WARN_AFTER_MS;
