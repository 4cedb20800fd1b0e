/** An event on its way to the server, as a page sees it. */
import type { Lane } from "../outbox/entry";
import type { LaneState } from "../outbox/port";
import type { BodyOfKind, Kind } from "../wire/shapes";
import type { Owner } from "./session";

export type { Lane, LaneState };

/** What a page hands over: the event, and how a person would call it. The id is minted for it if absent. */
export type Draft = {
  [K in Kind]: { kind: K; body: BodyOfKind[K]; says: string; id?: string };
}[Kind];

export type EntryState =
  /** On its way into the device's storage: no tick yet. */
  | { readonly name: "keeping" }
  /** The device can't keep it; only this page has it. "Not safe yet." */
  | { readonly name: "unsafe" }
  /** On this device: one tick. `now`: what its lane does about it. */
  | { readonly name: "kept"; readonly now: LaneState }
  /** A receipt named this id: two ticks. */
  | { readonly name: "saved" }
  | {
      readonly name: "undeliverable";
      readonly code: string;
      readonly reason: string;
      readonly hint?: string;
    };

export interface Entry {
  readonly id: string;
  readonly kind: string;
  readonly body: unknown;
  readonly says: string;
  readonly lane: Lane;
  readonly owner: Owner;
  /** RFC 3339 UTC, by the device's clock. */
  readonly createdAt: string;
  readonly state: EntryState;
}

/** The server has not said yes or no. */
export const isOpen = ({ state }: Entry): boolean => state.name !== "saved" && state.name !== "undeliverable";

/** Closing the page now could lose it. */
export const isAtRisk = ({ state }: Entry): boolean => state.name === "keeping" || state.name === "unsafe";

/** A person's work, in contrast to figures about use: only work may hold a page or a sign-out up. */
export const isWork = (entry: Pick<Entry, "lane">): boolean => entry.lane !== "analyticsQueue";

/** The newest entry a page asks for, for example the last answer to one question. */
export function newest<K extends Kind>(
  entries: readonly Entry[],
  kind: K,
  matches: (body: BodyOfKind[K]) => boolean,
): (Entry & { readonly body: BodyOfKind[K] }) | undefined {
  return entries.findLast(
    (entry): entry is Entry & { readonly body: BodyOfKind[K] } =>
      entry.kind === kind && isFields(entry.body) && matches(entry.body as BodyOfKind[K]),
  );
}

/** What stands on a device may have been written by an older page. */
const isFields = (body: unknown): body is object => typeof body === "object" && body !== null;
