/** What an outbox is given. All but the first two have a default that fits a tab and a worker alike. */
import type { Clock } from "../core/clock";
import type { Problem } from "../core/problem";
import type { Principal } from "./entry";
import type { Store } from "./store";

export interface Parts {
  readonly principal: Principal;
  readonly fetch: typeof fetch;
  /** Asked before anything is sent, and again after the server refused the token. Default: asks the server. */
  readonly authorize?: (() => Promise<Pass>) | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
  readonly mintId?: (() => string) | undefined;
  /** Default: the browser's. Where that gives no database, entries are never called kept. */
  readonly indexedDB?: IDBFactory | undefined;
  /** Another engine instead of IndexedDB, by the principal's name. */
  readonly engine?: ((name: string) => Store) | undefined;
  /** null: as in a browser without Web Locks, where every tab may send. Default: the browser's. */
  readonly locks?: LockManager | null | undefined;
  /** null: this outbox hears no other tab. Default: BroadcastChannel. */
  readonly channel?: ((name: string) => Channel) | null | undefined;
  /** localStorage, for a tab: by it a lost database is noticed, and it takes entries while storage is dead. */
  readonly mirror?: Mirror | undefined;
  /** `navigator.sendBeacon`, for a tab. */
  readonly sendBeacon?: ((path: string, body: Blob) => boolean) | undefined;
  /** What a tab tells about being seen; a worker has none and counts as hidden. */
  readonly page?: Page | undefined;
}

/** Leave to send in the outbox's name, or why not. */
export type Pass =
  | { readonly csrfToken: string }
  | { readonly held: "signIn" | "anotherPerson" }
  /** Nobody could say; worth asking again. */
  | { readonly problem: Problem };

/** Small texts outside the database. May throw, as localStorage does. */
export interface Mirror {
  get(key: string): string | null;
  /** null removes. */
  set(key: string, value: string | null): void;
  keys(): string[];
}

/** What is used of a BroadcastChannel. */
export interface Channel {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => unknown) | null;
  close(): void;
}

export interface Page {
  visible(): boolean;
  /** `gone`: hidden for good or frozen, so that nothing runs any more. The answer ends the listening. */
  listen(heard: (change: "seen" | "hidden" | "gone") => void): () => void;
}
