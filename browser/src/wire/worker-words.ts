/** What a page and its service worker say to each other: headers, names of caches, messages. */

/** Whose a request or an answer is: a person, in one org. */
export interface Whose {
  readonly orgId: string;
  readonly userId: string;
}

/** Page to worker: who asks. Server to worker: whose answer it is. In both as `markOf` writes it. */
export const WHOSE = "X-Holdfast-Principal";
/** Worker to page: `cache` where an answer comes from this device, as old as `X-Data-As-Of` says. */
export const FROM = "X-Holdfast-From";
/** Page to worker: what is read here shall stay on this device until it is freed. */
export const KEEP = "X-Holdfast-Keep";
/** Worker to page: `yes` once the answer lies on the device for good, `no` where it found no room. */
export const KEPT = "X-Holdfast-Kept";
/** In a cache: when the answer was put there, RFC 3339. */
export const STORED_AT = "X-Holdfast-Stored-At";
/** The outbox's own requests, which the worker leaves alone. */
export const FROM_OUTBOX = "X-Holdfast-Outbox";

export const markOf = ({ orgId, userId }: Whose): string =>
  `${encodeURIComponent(orgId)}/${encodeURIComponent(userId)}`;

/** undefined for a text that is no mark. */
export function whoseMark(mark: string): Whose | undefined {
  try {
    const [orgId, userId, ...more] = mark.split("/").map(decodeURIComponent);
    return orgId !== undefined && userId && more.length === 0 ? { orgId, userId } : undefined;
  } catch {
    return undefined;
  }
}

/** The names of a principal's caches; `name` is their outbox's name, a hash. */
export const cachesOf = (name: string) => ({
  /** What was read, until newer readings need the room. */
  reads: `${name}-reads`,
  figures: `${name}-figures`,
  /** What they chose to keep. */
  kept: `${name}-kept`,
});

export const isSomebodysCache = (name: string): boolean => /^holdfast-[0-9a-f]{16}-/.test(name);

/**
 * Who is signed in on this device, as the page knows it: a cache with one answer, since that is a place
 * which both can read. The page writes it; the worker stores nothing for anybody else.
 */
export const HERE_CACHE = "holdfast-here";
export const HERE_URL = "/here";

/** The sync event's tag, by which the worker knows whose outbox to open. */
const TAG = "holdfast-outbox ";
export const tagOf = (whose: Whose): string => TAG + markOf(whose);
export const whoseTag = (tag: string): Whose | undefined =>
  tag.startsWith(TAG) ? whoseMark(tag.slice(TAG.length)) : undefined;

/** Page to worker. `build` is answered through the port that comes with it; `CLAIM`: this page has no worker. */
export type ToWorker =
  | { type: "SKIP_WAITING" }
  | { type: "CLAIM" }
  | { type: "build" }
  /** For development: no worker and no cache, as on a new device. The outboxes stay. */
  | { type: "forceCleanup" };

/** Worker to every page. */
export type ToPage =
  | { type: "CACHE_UPDATED"; build: string }
  | { type: "SYNC_COMPLETE"; sent: number; duplicates: number; undeliverable: number; left: number };

/** Where news of the portal's condition is told to every tab. */
export const RUNTIME_STATUS = "runtime-status";

/** A lesson's figures are asked for at these addresses, under `/api/client/courses/`. */
export const figuresIn = (html: string): string[] => [
  ...new Set(html.match(/\/api\/client\/courses\/[^/"'\s<>]+\/assets\/[^"'\s<>\\?#]+/g) ?? []),
];
