/**
 * How far a learner has read, and for how long. Measured once a second from what the page shows;
 * said to the server when it advanced by a tenth, every 30 s of reading, and when the page is left.
 */
export interface Sample {
  /** Whether the page is in front. */
  visible: boolean;
  /** How much of the lesson has passed the lower edge of the window, 0 to 100. */
  seenPercent: number;
}

export interface Progress {
  percent: number;
  positionS: number;
  interval: { sessionId: string; fromS: number; toS: number };
}

const SAY_AFTER_PERCENT = 10;
const SAY_AFTER_S = 30;
/** Leaving says what is left over, unless it is too little to mean anything. */
const SAY_ON_LEAVING_S = 3;
/** Nobody scrolls while thinking about a paragraph; after this long without a touch nobody may be there. */
const AWAY_AFTER_MS = 90_000;
/** A sample that comes late (a sleeping laptop, a throttled tab) counts for no more than this. */
const LONGEST_STEP_MS = 2_000;

export type ReadingMeter = ReturnType<typeof createReadingMeter>;

export function createReadingMeter(parts: {
  sessionId: string;
  /** What the server has already. */
  percent: number;
  elapsed: () => number;
  say: (progress: Progress) => void;
}) {
  const { sessionId, elapsed, say } = parts;
  let reached = parts.percent;
  let saidPercent = parts.percent;
  let saidS = 0;
  let readMs = 0;
  let lastSampleMs = elapsed();
  let lastTouchMs = elapsed();
  let lastSeen = 0;

  function tell(): void {
    const toS = Math.floor(readMs / 1_000);
    if (toS <= saidS) return;
    say({ percent: reached, positionS: toS, interval: { sessionId, fromS: saidS, toS } });
    saidPercent = reached;
    saidS = toS;
  }

  const unsaidS = () => Math.floor(readMs / 1_000) - saidS;

  return {
    /** A scroll, a key, a touch: somebody is there. */
    touched(): void {
      lastTouchMs = elapsed();
    },

    sample({ visible, seenPercent }: Sample): void {
      const nowMs = elapsed();
      const stepMs = Math.min(LONGEST_STEP_MS, nowMs - lastSampleMs);
      lastSampleMs = nowMs;
      if (!visible || nowMs - lastTouchMs > AWAY_AFTER_MS) return;
      readMs += stepMs;
      // What flew past between two looks was not read: only what both saw counts.
      const rested = Math.floor(Math.min(lastSeen, seenPercent));
      lastSeen = seenPercent;
      reached = Math.min(100, Math.max(reached, rested));
      const advanced = reached - saidPercent;
      if (advanced >= SAY_AFTER_PERCENT || (advanced > 0 && reached === 100) || unsaidS() >= SAY_AFTER_S)
        tell();
    },

    left(): void {
      if (unsaidS() >= SAY_ON_LEAVING_S || reached > saidPercent) tell();
    },
  };
}

/** How much of an article has come into view, from its place in the window. */
export function seenPercent(article: { top: number; height: number }, windowHeight: number): number {
  if (article.height <= 0) return 0;
  return Math.max(0, Math.min(100, ((windowHeight - article.top) / article.height) * 100));
}
