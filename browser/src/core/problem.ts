/**
 * Why a call did not succeed, sorted by who must act. The server tells it as RFC 9457 problem+json;
 * what never reached the server, or was not said by it, gets a family of its own.
 */
export type Family =
  /** The person: sign in (again). */
  | "signIn"
  /** The sender: the server read the request and will not have it. */
  | "refused"
  /** Time: the server is busy, down or broken. The same request may succeed later. */
  | "later"
  /** The network: nothing came back. Whether the server got the request is unknown. */
  | "unreachable"
  /** Something answered, but not as the server does: a captive portal, a proxy's own page. */
  | "garbled";

export interface Problem {
  readonly family: Family;
  /** HTTP status; 0 where nothing came back. */
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly hint: string;
  /** How long the server asks us to wait, where it does. */
  readonly retryAfterS?: number;
}

/** What an answer carries that this module needs; a `Response` fits it. */
export interface AnswerHead {
  readonly status: number;
  readonly contentType: string;
  readonly retryAfter: string | null;
}

const BUSY_STATUSES = new Set([408, 425, 429]);

export function problemFrom(head: AnswerHead, text: string, nowMs: number): Problem {
  const told = head.contentType.includes("application/problem+json") ? parseObject(text) : undefined;
  const retryAfterS = numberIn(told, "retryAfterS") ?? retryAfterSeconds(head.retryAfter, nowMs);
  return {
    family: familyOf(head.status, told !== undefined),
    status: head.status,
    code: textIn(told, "code") || `http_${head.status}`,
    title: textIn(told, "title") || `The answer was HTTP ${head.status}`,
    detail: textIn(told, "detail"),
    hint: textIn(told, "hint"),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
  };
}

function familyOf(status: number, serverSaidIt: boolean): Family {
  if (status === 401) return "signIn";
  if (status >= 500 || BUSY_STATUSES.has(status)) return "later";
  // A refusal is final for an event, so only the server itself may say it: a 403 or 404 page
  // of some proxy on the way must not end a learner's work.
  if (status >= 400 && serverSaidIt) return "refused";
  return "garbled";
}

export function unreachable(detail: string): Problem {
  return bare("unreachable", 0, "unreachable", "We cannot reach the server", detail);
}

export function garbled(status: number, detail: string): Problem {
  return bare("garbled", status, "garbled", "Something answered that is not this portal", detail);
}

function bare(family: Family, status: number, code: string, title: string, detail: string): Problem {
  return { family, status, code, title, detail, hint: "" };
}

/** One sentence a person can read. */
export function inWords(problem: Problem): string {
  return problem.detail || problem.title;
}

/** Retry-After comes in seconds or as a date. */
function retryAfterSeconds(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  const trimmed = header.trim();
  if (/^\d+$/.test(trimmed)) return Number(trimmed);
  const dateMs = Date.parse(trimmed);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, Math.ceil((dateMs - nowMs) / 1_000));
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function textIn(told: Record<string, unknown> | undefined, key: string): string {
  const value = told?.[key];
  return typeof value === "string" ? value : "";
}

function numberIn(told: Record<string, unknown> | undefined, key: string): number | undefined {
  const value = told?.[key];
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}
