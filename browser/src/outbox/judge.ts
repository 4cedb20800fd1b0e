/** What an answer means for the entries that were sent, and for their lane. */
import { inWords, type Problem } from "../core/problem";
import type { Answer } from "../wire/client";
import type { Assigned, DeviceState, Receipts } from "../wire/shapes";
import type { Entry } from "./entry";

export interface Verdict {
  /** Entries that a receipt named. */
  settled: [Entry, "accepted" | "duplicate"][];
  /** Entries the server will never have. */
  refused: [Entry, Refusal][];
  /** Entries to be sent again later, their neighbours at once. */
  later: [Entry, Wait][];
  /** What the lane does before its next request. */
  next?: Wait | Holding | "split" | "renew";
  /** The server's own answer to an assignment. */
  answer?: Assigned;
  /** What the server counted of this device. */
  device?: DeviceState | undefined;
}

export interface Refusal {
  code: string;
  reason: string;
  hint?: string;
}
export interface Wait {
  why: string;
  /** How long the server asks to wait, in seconds. */
  askedS?: number | undefined;
}
export interface Holding {
  held: "signIn" | "anotherPerson" | "forbidden";
}

export const nothing = (): Verdict => ({ settled: [], refused: [], later: [] });

export function judgeReceipts(sent: readonly Entry[], told: Receipts): Verdict {
  const verdict: Verdict = { ...nothing(), device: told.device };
  const receipts = new Map(told.receipts.map((receipt) => [receipt.id.toLowerCase(), receipt]));
  for (const entry of sent) {
    const receipt = receipts.get(entry.id);
    const status = receipt?.status;
    const reason = receipt?.reason ?? "";
    if (status === "accepted" || status === "duplicate") verdict.settled.push([entry, status]);
    else if (!receipt || status === "later") {
      const askedS = receipt?.retryAfterS ?? undefined;
      verdict.later.push([entry, { why: reason || "the server gave no receipt yet", askedS }]);
    } else
      verdict.refused.push([
        entry,
        { code: receipt.code || receipt.status, reason: reason || receipt.status },
      ]);
  }
  if (told.slowDownMs > 0) {
    verdict.next = { why: "the server asks for a slower pace", askedS: told.slowDownMs / 1_000 };
  }
  return verdict;
}

/** The lane waits while its first entry is not named: assignments go in their order. */
export function judgeAssigned(sent: readonly Entry[], answer: Assigned): Verdict {
  const [entry] = sent as [Entry];
  const { id, status } = answer.receipt;
  return id.toLowerCase() === entry.id && (status === "accepted" || status === "duplicate")
    ? { ...nothing(), settled: [[entry, status]], answer }
    : { ...nothing(), next: { why: "the answer did not name this event" } };
}

/** Statuses by which the server says that the request itself, not its moment, was wrong. */
const WRONG = new Set([400, 413, 422]);

function judgeProblem(sent: readonly Entry[], problem: Problem): Verdict {
  const { status, family, code, retryAfterS: askedS } = problem;
  const admin = sent[0]?.lane === "adminQueue";
  const verdict = nothing();
  if (status === 401) verdict.next = { held: "signIn" };
  // Another session stands behind the cookie now; nothing is wrong with the entries.
  else if (status === 403 && code.startsWith("csrf")) verdict.next = "renew";
  else if (status === 403 && family === "refused") verdict.next = { held: "forbidden" };
  // One bad entry must not sink its neighbours: halve until it stands alone.
  else if (sent.length > 1 && (status === 413 || (family === "refused" && WRONG.has(status)))) {
    verdict.next = "split";
  } else if (family === "refused" && code !== "backlog_over_limit" && (admin || WRONG.has(status))) {
    const { hint } = problem;
    for (const entry of sent) verdict.refused.push([entry, { code, reason: inWords(problem), hint }]);
  } else verdict.next = { why: inWords(problem), askedS };
  return verdict;
}

export const judge = <T>(
  answer: Answer<T>,
  sent: readonly Entry[],
  good: (sent: readonly Entry[], told: T) => Verdict,
): Verdict => (answer.ok ? good(sent, answer.value) : judgeProblem(sent, answer.problem));
