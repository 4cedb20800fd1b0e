/** An event on its way to the server, as a page sees it. */
import type { BodyOfKind, Kind } from "../wire/shapes";
import { type Owner, sameOwner } from "./session";

export type Lane = "progressQueue" | "analyticsQueue";

/** What a page hands over: the event without what is minted for it, and how a person would call it. */
export type Draft = {
  [K in Kind]: { kind: K; body: BodyOfKind[K]; says: string };
}[Kind];

export type EntryState =
  | { name: "sending" }
  /** `asked`: the server named this wait, so nobody may cut it short. */
  | { name: "waiting"; dueAtMs: number; why: string; asked: boolean }
  /** Not to be sent now: its person has to sign in again, or somebody else is signed in here. */
  | { name: "held"; why: "signIn" | "anotherPerson" }
  /** A receipt named this id. */
  | { name: "saved" }
  | { name: "refused"; reason: string };

export interface Entry {
  readonly id: string;
  readonly draft: Draft;
  readonly lane: Lane;
  readonly owner: Owner;
  readonly state: EntryState;
}

export const isUnsaved = (entry: Entry): boolean =>
  entry.state.name !== "saved" && entry.state.name !== "refused";

/** A learner's work, in contrast to figures about use: only work may hold a page open. */
export const isWork = (entry: Entry): boolean => entry.lane === "progressQueue";

/** A person's work that has no receipt yet. */
export const unsavedOf = (entries: readonly Entry[], owner: Owner | undefined): Entry[] =>
  entries.filter((entry) => isWork(entry) && isUnsaved(entry) && sameOwner(entry.owner, owner));

/** The newest entry a page asks for, for example the last answer to one question. */
export function newest<K extends Kind>(
  entries: readonly Entry[],
  owner: Owner | undefined,
  kind: K,
  matches: (body: BodyOfKind[K]) => boolean,
): Entry | undefined {
  return entries.findLast(
    (entry) =>
      sameOwner(entry.owner, owner) &&
      entry.draft.kind === kind &&
      matches(entry.draft.body as BodyOfKind[K]),
  );
}

export interface Tally {
  sending: Entry[];
  waiting: Entry[];
  held: Entry[];
  refused: Entry[];
  /** The earliest next try of those waiting, on the clock's `elapsed` line. */
  nextTryMs: number | undefined;
}

export function tallyOf(entries: readonly Entry[]): Tally {
  const work = entries.filter(isWork);
  const named = (name: EntryState["name"]) => work.filter((entry) => entry.state.name === name);
  const dues = work.flatMap(({ state }) => (state.name === "waiting" ? [state.dueAtMs] : []));
  return {
    sending: named("sending"),
    waiting: named("waiting"),
    held: named("held"),
    refused: named("refused"),
    nextTryMs: dues.length > 0 ? Math.min(...dues) : undefined,
  };
}
