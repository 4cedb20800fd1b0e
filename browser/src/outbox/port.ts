/**
 * What the rest of the page (and the service worker) sees of the outbox. One outbox belongs to one
 * principal and is shared by every tab and the worker; `openOutbox` hydrates it before it resolves.
 *
 * The law: an entry leaves only when a receipt names it, when the server refused it for good (then it is
 * undeliverable and shown), or when its person discards it.
 */
import type { Draft, Entry, Lane, Loss, Principal, Undeliverable } from "./entry";

export type { Lane };

export interface Outbox {
  readonly principal: Principal;

  /**
   * Keeps an event. Resolves only once the IndexedDB transaction is complete (strict for progress and
   * admin); from then on the screen may say "saved on this device". Rejects with `NotKept` when it could
   * not be kept there: then the event has been put into the emergency journal where that was possible,
   * is being sent straight to the server, and `status.storage` says "unsafe".
   * Throws RangeError for a payload over 32 KB, of an admin's event over 512 KB.
   */
  add(draft: Draft): Promise<Entry>;

  /** All that waits, oldest first. */
  waiting(): Promise<Entry[]>;
  undeliverable(): Promise<Undeliverable[]>;
  losses(): Promise<Loss[]>;
  /** The server's last answers to assignments, such as whom it refused. */
  answers(): Promise<Answered[]>;

  /** The present condition; the same object until something changes. */
  readonly status: Status;
  /** Calls `heard` for each piece of news of any tab or the worker. The answer ends it. */
  subscribe(heard: (news: News) => void): () => void;

  /** A person asks, the network is back, the session was renewed. A wait the server asked for is kept. */
  sendNow(): void;
  /** The person has read why an entry can't be delivered. */
  putAway(id: string): Promise<void>;
  /** Sends one undeliverable entry again, with the same id. False: it is not whole, so it stays where it is. */
  tryAgain(id: string): Promise<boolean>;
  /** Throws away everything that waits, on the person's word; resolves with how many entries went. */
  discardAll(): Promise<number>;
  /** Sends what fits by `sendBeacon`; deletes nothing. For `visibilitychange` and `pagehide`. */
  beacon(): void;
  /** Ends sending in this tab and closes the database. What waits stays sealed on the device. */
  close(): Promise<void>;
}

export type LaneState =
  /** Nothing waits; or what waits has not been tried, because it is not known yet which tab sends. */
  | { readonly name: "idle" }
  | { readonly name: "sending" }
  /** `asked`: the server named this wait, so nobody may cut it short. */
  | { readonly name: "waiting"; readonly nextTryAtMs: number; readonly why: string; readonly asked: boolean }
  /** Kept until the person signs in again, or until the signed-in person is theirs again. */
  | { readonly name: "held"; readonly why: "signIn" | "anotherPerson" | "forbidden" };

export interface LaneStatus {
  readonly waiting: number;
  /** When the oldest waiting entry was made, RFC 3339. */
  readonly oldestAt: string | undefined;
  readonly state: LaneState;
}

export interface Status {
  /** "unsafe": the device can't keep entries now; the screen must say "not safe yet". */
  readonly storage: "safe" | "unsafe";
  readonly lanes: Readonly<Record<Lane, LaneStatus>>;
  /** All lanes together: what `offlineQueueBacklog` means on a device. */
  readonly backlog: number;
  readonly undeliverable: number;
  readonly losses: number;
  /** Whether this tab is the one that sends. */
  readonly sendsHere: boolean;
}

export type News =
  | { readonly type: "added"; readonly entry: Entry }
  | {
      readonly type: "settled";
      readonly id: string;
      readonly lane: Lane;
      readonly outcome: "accepted" | "duplicate";
    }
  | { readonly type: "undeliverable"; readonly item: Undeliverable }
  | { readonly type: "loss"; readonly loss: Loss }
  | ({ readonly type: "answered" } & Answered)
  | { readonly type: "status"; readonly status: Status }
  /** One drain ended: what `SYNC_COMPLETE` tells. */
  | {
      readonly type: "drained";
      readonly sent: number;
      readonly duplicates: number;
      readonly undeliverable: number;
      readonly left: number;
    };

/** The server's answer to an assignment: its `receipt`, and where that is done already `{assigned, already, refused[]}`. */
export interface Answered {
  /** The entry's. */
  readonly id: string;
  readonly answer: unknown;
  /** RFC 3339 UTC. */
  readonly since: string;
}

/** The event is not on the device. It may still reach the server: `sentDirectly` resolves with whether it did. */
export interface NotKept extends Error {
  readonly name: "NotKept";
  readonly sentDirectly: Promise<boolean>;
}
