/** Time as the rest of the page asks for it, so that a test can hold it still. */
export interface Clock {
  /** Milliseconds since 1970, UTC: for what is told to others. It may jump, a person can set a device's clock. */
  now(): number;
  /** Milliseconds since some moment, never backwards: for waits and for how long something took. */
  elapsed(): number;
  /** Runs once after at least `delayMs`; the answer cancels it. */
  after(delayMs: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
