/** Waits between attempts. Full jitter: without it, every page that lost the server comes back at once. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 5 * 60_000;
/** A server may ask for patience, but a mistyped Retry-After must not silence a page for days. */
const LONGEST_ASKED_MS = 60 * 60_000;

/** The wait after failed attempt number `attempt` (from 1): somewhere from 1 s to twice the last ceiling, at most 5 min. */
export function waitMs(attempt: number, random: () => number): number {
  const ceilingMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt, 16));
  return FIRST_WAIT_MS + random() * (ceilingMs - FIRST_WAIT_MS);
}

/** The wait the server asked for, never shorter, and up to a quarter longer so that pages do not return together. */
export function askedWaitMs(retryAfterS: number, random: () => number): number {
  const askedMs = Math.min(LONGEST_ASKED_MS, Math.max(0, retryAfterS) * 1_000);
  return Math.max(FIRST_WAIT_MS, askedMs * (1 + 0.25 * random()));
}
