/** Small drawn signs. Each stands beside words that say the same, so none is read aloud. */
const PATHS = {
  /** On this device. */
  tick: "M3.5 8.5l3 3 6-7",
  /** On the server. */
  ticks: "M1.5 8.5l3 3 6-7M8 11.2l.6.6 6-7",
  wait: "M8 4v4.2l2.6 1.6",
  stop: "M5 5l6 6M11 5l-6 6",
  warn: "M8 3.8v5M8 11.8v.2",
} as const;

export type Sign = keyof typeof PATHS | "none" | "some";

export function Mark({ sign }: { sign: Sign }) {
  return (
    <svg class={`mark mark-${sign}`} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      {/* Ticks stand free: a second one must not be cut by a ring. */}
      {sign !== "tick" && sign !== "ticks" && <circle cx="8" cy="8" r="7" />}
      {sign === "some" && <path class="mark-half" d="M8 1a7 7 0 0 1 0 14z" />}
      {sign in PATHS && <path d={PATHS[sign as keyof typeof PATHS]} />}
    </svg>
  );
}

/** The portal's sign: a stone held by roots. */
export function Brand() {
  return (
    <svg class="brand-sign" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
      <path d="M16 3v13M16 16c-1 5-5 6-8 11M16 16c1 5 5 6 8 11M16 16v12M10 9c0 4 3 5 6 7M22 9c0 4-3 5-6 7" />
    </svg>
  );
}
