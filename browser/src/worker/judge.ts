/** What an answer of the network is worth: whether it is the portal's, and whose. Pure. */
import { FROM, KEPT, STORED_AT, WHOSE } from "../wire/worker-words";

export type Worth =
  /** The portal's own and the asker's: shown and stored. */
  | "fresh"
  /** The portal says that what is here is still right. */
  | "same"
  /** The portal says that there is no such thing for them (any more). */
  | "gone"
  /** The portal's word, and nothing to store: sign in, too fast, somebody else's. */
  | "final"
  /** No answer worth having: an outage, or something that is not the portal. */
  | "useless";

const BUSY = new Set([408, 425, 429]);

export function worthOf(answer: Response, asker: string): Worth {
  const { status } = answer;
  if (status >= 500 || BUSY.has(status)) return "useless";
  if (status >= 400) return refusal(answer);
  const whose = answer.headers.get(WHOSE);
  // A captive portal says 200 too; only ours says whose an answer is.
  if (whose === null || answer.redirected) return "useless";
  if (whose !== asker) return "final";
  if (status === 304) return "same";
  return status === 200 ? "fresh" : "useless";
}

function refusal(answer: Response): Worth {
  if (!(answer.headers.get("Content-Type") ?? "").includes("application/problem+json")) return "useless";
  return [403, 404, 410].includes(answer.status) ? "gone" : "final";
}

/** The same answer with other headers; null takes one away. */
export function withHeaders(answer: Response, changes: Record<string, string | null>): Response {
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) headers.delete(name);
    else headers.set(name, value);
  }
  const { status, statusText } = answer;
  return new Response(answer.body, { status, statusText, headers });
}

export const fromDevice = (held: Response): Response => withHeaders(held, { [FROM]: "cache", [KEPT]: null });

/** What was here, confirmed by the server just now. */
export function confirmed(held: Response, answer: Response): Response {
  const asOf = answer.headers.get("X-Data-As-Of");
  return withHeaders(held, asOf === null ? {} : { "X-Data-As-Of": asOf });
}

export const stored = (answer: Response, nowMs: number): Response =>
  withHeaders(answer, { [STORED_AT]: new Date(nowMs).toISOString() });

/** How long an answer has lain here; endless where it does not say. */
export function storedForMs(held: Response, nowMs: number): number {
  const at = Date.parse(held.headers.get(STORED_AT) ?? "");
  return Number.isNaN(at) ? Number.POSITIVE_INFINITY : nowMs - at;
}
