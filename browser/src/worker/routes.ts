/** Which request the worker answers, and how. Whatever is not named here, it does not touch. */
import { FROM_OUTBOX } from "../wire/worker-words";

export type Way =
  /** Every address of the client's own: the shell. */
  | "shell"
  /** Files whose names change with their content. */
  | "asset"
  /** What a learner reads: the server's word first, this device's where that does not come. */
  | "read"
  /** What an administrator lists: the same, and whatever was asked is part of the address. */
  | "list"
  /** A lesson's figure: this device's first. */
  | "figure"
  /** An event that did not come from the outbox: into it, when the server can't be reached. */
  | "foreign"
  /** Not ours to touch: sign-in, health and its stream, other administration, the outbox's own sending. */
  | "through";

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly mode: string;
  readonly headers: Pick<Headers, "has">;
}

const READS = /^\/api\/client\/(progress|courses(\/[^/]+(\/lessons\/[^/]+)?)?)$/;
const LISTS = /^\/api\/admin\/(courses(\/[^/]+)?|users|assignments)$/;
const FIGURE = /^\/api\/client\/courses\/[^/]+\/assets\/./;
const EVENTS = /^\/api\/(client\/progress|analytics\/events)(\/batch)?$/;
/** Addresses that are the server's own answers, and files beside the shell such as /favicon.svg. */
const NO_PAGE = /^\/(api|assets)(\/|$)|^\/(livez|readyz|startupz)$|^\/[^/]*\.[^/]*$/;

export function wayOf(asked: Asked, origin: string): Way {
  const url = new URL(asked.url);
  if (url.origin !== origin) return "through";
  const { pathname } = url;
  if (asked.method === "GET") {
    if (asked.mode === "navigate") return NO_PAGE.test(pathname) ? "through" : "shell";
    if (pathname.startsWith("/assets/")) return "asset";
    // A part of a file, or a question: beside the lists, the caches know whole answers only.
    if (asked.headers.has("Range")) return "through";
    if (LISTS.test(pathname)) return "list";
    if (url.search) return "through";
    if (READS.test(pathname)) return "read";
    return FIGURE.test(pathname) ? "figure" : "through";
  }
  const foreign = asked.method === "POST" && EVENTS.test(pathname) && !isOurs(asked, url);
  // Another site's form reaches the worker as a navigation. The server refuses it for want of a token, and
  // must not be gone around: only a page of our own can post in any other mode.
  return foreign && asked.mode !== "navigate" ? "foreign" : "through";
}

/** A beacon can carry no header of its own, so the outbox's say it in their address. */
const isOurs = (asked: Asked, url: URL): boolean =>
  asked.headers.has(FROM_OUTBOX) || url.searchParams.has("outbox");
