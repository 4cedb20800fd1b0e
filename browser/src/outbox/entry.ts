/** One event in the outbox, as it stands on the device. No headers, no tokens. */

/** Lanes are sent apart from each other, so that figures about use never hold up a learner's work. */
export type Lane = "progressQueue" | "analyticsQueue" | "adminQueue";

export const LANES: readonly Lane[] = ["progressQueue", "adminQueue", "analyticsQueue"];

export const perLane = <T>(of: (lane: Lane) => T): Record<Lane, T> =>
  Object.fromEntries(LANES.map((lane) => [lane, of(lane)])) as Record<Lane, T>;

/** The lane of a kind, where nobody names one. */
export const laneOf = (kind: string): Lane =>
  kind.startsWith("course.")
    ? "adminQueue"
    : kind.startsWith("analytics.")
      ? "analyticsQueue"
      : "progressQueue";

/** Whose an outbox is: a person, in one org. */
export interface Principal {
  readonly orgId: string;
  readonly userId: string;
}

/** The shape written by this build. A newer shape gets a higher number; older ones are read for ever. */
export const ENTRY_VERSION = 1;

/** An event of an admin's may name 5,000 learners; a learner's says one thing. */
export const largestPayloadKb = (lane: Lane): number => (lane === "adminQueue" ? 512 : 32);

/** What a page hands over. */
export interface Draft {
  /** Minted here when absent; then never again. */
  readonly id?: string;
  readonly kind: string;
  /** The event's body as JSON text, written once: these exact bytes are checksummed and sent. */
  readonly payload: string;
  /** By default the lane of the kind: `course.*` is admin, `analytics.*` analytics, all else progress. */
  readonly lane?: Lane;
  /** How a person would call it; stays on the device. */
  readonly label?: string;
  /** When it happened, RFC 3339 UTC and not in the future. By default now. Order goes by the numbers, not by this. */
  readonly createdAt?: string | undefined;
}

export interface Entry {
  /** The outbox's key and the device's running number; given in the transaction that keeps the entry. */
  readonly seq: number;
  /** UUIDv7, the idempotency key. */
  readonly id: string;
  readonly lane: Lane;
  readonly kind: string;
  readonly orgId: string;
  readonly userId: string;
  /** Who assigns, for `course.assigned` and `course.unassigned`. */
  readonly assignedBy?: string;
  /** When it happened, RFC 3339 UTC, by the device's clock. */
  readonly createdAt: string;
  readonly version: number;
  readonly payload: string;
  readonly label?: string;
  /** The generation of the device's numbering in which `seq` was given. */
  readonly generation: number;
  /** crc32 over all of the above, 8 hex digits. */
  readonly checksum: string;
}

/** An entry the server will not have, or that can't be read any more. It stays until a person puts it away. */
export interface Undeliverable {
  readonly id: string;
  readonly entry: Entry;
  readonly code: string;
  readonly reason: string;
  /** What the person can do, where the server said. */
  readonly hint?: string;
  /** RFC 3339 UTC. */
  readonly since: string;
}

/** The honest list of what this device lost: numbers that are neither here nor on the server. */
export interface Loss {
  readonly id: string;
  /** Whose numbers they were: of this device, or of the one this browser was before it lost its database. */
  readonly deviceId?: string;
  readonly generation: number;
  readonly missing: readonly (readonly [from: number, to: number])[];
  readonly cause: string;
  /** RFC 3339 UTC. */
  readonly noticedAt: string;
  /** Whether the server has taken the loss receipt. */
  readonly told: boolean;
}

/** What a learner or an admin waits for is sent at once. */
const URGENT = new Set(["lesson.completed", "quiz.answered"]);
export const isUrgent = ({ kind, lane }: Pick<Entry, "kind" | "lane">): boolean =>
  URGENT.has(kind) || lane === "adminQueue";
