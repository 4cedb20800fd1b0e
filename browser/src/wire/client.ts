/**
 * The only place that calls `fetch`. Every call ends in an `Answer`: a value that was believed, or a
 * problem that says who must act. Nothing here throws, and nothing here tries again.
 */
import type { Clock } from "../core/clock";
import { garbled, type Problem, problemFrom, unreachable } from "../core/problem";
import type { Believe } from "./believe";
import { FROM, WHOSE } from "./worker-words";

export type Answer<T> =
  /**
   * `asOf`: how old the data is, where the server tells it (RFC 3339). `fromDevice`: the worker answered
   * from what this device holds, because the server did not answer (in time).
   */
  { ok: true; value: T; asOf?: string; fromDevice?: true } | { ok: false; problem: Problem };

export interface Ask {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  /**
   * The exact text to send, or a file. The caller writes a text, because a checksum is taken over some
   * of its bytes.
   */
  body?: string | Blob;
  /** What the answer is read as: JSON, or the text as it came. */
  reads?: "json" | "text";
  /** How long the answer may take; a large file on a slow line needs more than an event does. */
  deadlineMs?: number;
  headers?: Record<string, string>;
  /** Let the request outlive the page. Browsers allow 64 KiB of these at a time. */
  keepalive?: boolean;
}

/** A stream of events that was opened; its text comes as the network hands it over. */
export type Opened =
  | { ok: true; headers: Headers; read: () => Promise<string | undefined> }
  | { ok: false; problem: Problem };

export interface Wire {
  call<T>(ask: Ask, believe: Believe<T>): Promise<Answer<T>>;
  /**
   * Opens a stream (`text/event-stream`). `read` gives the next text, undefined at the end, and rejects
   * when the line breaks or `ended` is aborted. Only the head has a deadline: silence is for the reader
   * to notice, for a proxy that withholds a stream raises no error.
   */
  open(path: string, headers: Record<string, string>, ended: AbortController): Promise<Opened>;
}

export interface WireParts {
  fetch: typeof fetch;
  clock: Clock;
  /** The session's token; a write without it is refused, which is what stops other sites from writing. */
  csrfToken: () => string | undefined;
  /** Who asks, as the worker's `markOf` writes it: it answers from this person's readings alone. */
  whose?: () => string | undefined;
}

/** A connection that hangs would hold a lane for minutes; the same id can be sent again at no risk. */
const DEADLINE_MS = 20_000;

/** Calls alone, for who opens no stream and need not carry the code for it. */
export function createCaller(parts: WireParts): Pick<Wire, "call"> {
  return {
    async call(ask, believe) {
      const ended = new AbortController();
      const deadlineMs = ask.deadlineMs ?? DEADLINE_MS;
      const cancel = parts.clock.after(deadlineMs, () => ended.abort());
      try {
        const headers = headersOf(ask, parts);
        const response = await parts.fetch(ask.path, {
          method: ask.method,
          headers,
          credentials: "same-origin",
          // An answer belongs to one principal: on a shared device no cache may hand it to the next.
          cache: "no-store",
          // The portal redirects no call; a captive portal does.
          redirect: "error",
          signal: ended.signal,
          ...(ask.body === undefined ? {} : { body: ask.body }),
          ...(ask.keepalive ? { keepalive: true } : {}),
        });
        const text = await response.text();
        if (response.ok && isAnothers(response, headers[WHOSE])) {
          return { ok: false, problem: garbled(response.status, "The answer is for somebody else.") };
        }
        return judge(response, text, ask.reads ?? "json", believe, parts.clock.now());
      } catch {
        return {
          ok: false,
          problem: unreachable(
            ended.signal.aborted
              ? `The server did not answer within ${deadlineMs / 1_000} s.`
              : "The server could not be reached.",
          ),
        };
      } finally {
        cancel();
      }
    },
  };
}

export function createWire(parts: WireParts): Wire {
  return {
    ...createCaller(parts),

    async open(path, headers, ended) {
      const cancel = parts.clock.after(DEADLINE_MS, () => ended.abort());
      try {
        const response = await parts.fetch(path, {
          headers: { Accept: "text/event-stream", ...headers },
          credentials: "same-origin",
          cache: "no-store",
          redirect: "error",
          signal: ended.signal,
        });
        const contentType = response.headers.get("Content-Type") ?? "";
        if (!response.ok) {
          const head = {
            status: response.status,
            contentType,
            retryAfter: response.headers.get("Retry-After"),
          };
          return { ok: false, problem: problemFrom(head, await response.text(), parts.clock.now()) };
        }
        if (response.body === null || !contentType.startsWith("text/event-stream")) {
          ended.abort();
          return { ok: false, problem: garbled(response.status, "The answer is no stream of this portal.") };
        }
        return { ok: true, headers: response.headers, read: textOf(response.body) };
      } catch {
        return { ok: false, problem: unreachable("The stream could not be opened.") };
      } finally {
        cancel();
      }
    },
  };
}

function textOf(body: ReadableStream<Uint8Array>): () => Promise<string | undefined> {
  const reader = body.getReader();
  const utf8 = new TextDecoder();
  return async () => {
    const { done, value } = await reader.read();
    return done ? undefined : utf8.decode(value, { stream: true });
  };
}

function headersOf(ask: Ask, parts: WireParts): Record<string, string> {
  const csrfToken = parts.csrfToken();
  const reads = ask.method === "GET" && /^\/api\/(client|admin)\//.test(ask.path);
  const whose = reads ? parts.whose?.() : undefined;
  return {
    Accept: "application/json, application/problem+json",
    ...(ask.body === undefined ? {} : { "Content-Type": "application/json" }),
    ...(ask.method === "GET" || csrfToken === undefined ? {} : { "X-CSRF-Token": csrfToken }),
    ...(whose === undefined ? {} : { [WHOSE]: whose }),
    ...ask.headers,
  };
}

/** Another tab signed somebody else in, and this one has not heard of it yet: the cookie is theirs. */
function isAnothers({ headers }: Response, asker: string | undefined): boolean {
  const whose = headers.get(WHOSE);
  return asker !== undefined && whose !== null && whose !== asker;
}

function judge<T>(
  response: Response,
  text: string,
  reads: "json" | "text",
  believe: Believe<T>,
  nowMs: number,
): Answer<T> {
  const contentType = response.headers.get("Content-Type") ?? "";
  if (!response.ok) {
    const head = { status: response.status, contentType, retryAfter: response.headers.get("Retry-After") };
    return { ok: false, problem: problemFrom(head, text, nowMs) };
  }
  const said = response.status === 204 ? null : reads === "text" ? text : jsonOf(text);
  const value = believe(said, response.headers);
  if (value === undefined) {
    return { ok: false, problem: garbled(response.status, "The answer did not come from this portal.") };
  }
  const asOf = response.headers.get("X-Data-As-Of");
  const fromDevice = response.headers.get(FROM) === "cache";
  return { ok: true, value, ...(asOf !== null && { asOf }), ...(fromDevice && { fromDevice }) };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
