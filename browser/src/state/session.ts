/** Who is signed in here, as far as the server said. */
import { batch, computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Problem } from "../core/problem";
import type { Calls } from "../wire/calls";
import type { Principal, Session } from "../wire/shapes";
import type { Keep } from "./keep";

export type SessionState =
  | { phase: "asking" }
  | { phase: "out" }
  | { phase: "in"; session: Session }
  /** The server no longer knows this session; the page and its unsent events stay this person's. */
  | { phase: "expired"; session: Session }
  /** The first question went unanswered: whether someone is signed in is not known. */
  | { phase: "unknown"; problem: Problem };

/** Whose an event is: a person, in one org. */
export interface Owner {
  readonly userId: string;
  readonly orgId: string;
}

export const sameOwner = (one: Owner | undefined, other: Owner | undefined): boolean =>
  one !== undefined && one.userId === other?.userId && one.orgId === other.orgId;

/**
 * All tabs share one cookie. When a tab signs somebody else in, the others' next request would carry the
 * new person's cookie; this mark in localStorage tells them before they send under a wrong name.
 */
export const SIGNED_IN_KEY = "holdfast.signedIn";
const ownerOf = ({ userId, orgId }: Principal): Owner => ({ userId, orgId: orgId ?? "" });
const markOf = (owner: Owner) => `${owner.orgId} ${owner.userId}`;

export type SessionKeeper = ReturnType<typeof createSession>;

export function createSession(calls: Calls, keep: Keep) {
  const state = signal<SessionState>({ phase: "asking" });
  /** Counts the person's own sign-ins and sign-outs: an answer asked for before one is not heard after it. */
  let turn = 0;

  const session = computed(() => ("session" in state.value ? state.value.session : undefined));
  const owner: ReadonlySignal<Owner | undefined> = computed(() => {
    const principal = session.value?.principal;
    return principal && ownerOf(principal);
  });

  function enter(entered: Session): void {
    keep.set(SIGNED_IN_KEY, markOf(ownerOf(entered.principal)));
    state.value = { phase: "in", session: entered };
  }

  function expire(): void {
    const current = state.value;
    if (current.phase === "in") state.value = { phase: "expired", session: current.session };
  }

  /** Asks the server who this is. An answer that never comes changes nothing that was known. */
  async function ask(): Promise<void> {
    const asked = turn;
    const answer = await calls.session();
    if (asked !== turn) return;
    if (answer.ok) enter(answer.value);
    else if (answer.problem.family === "signIn") leaveOrExpire();
    else if (session.peek() === undefined && state.peek().phase !== "out") {
      state.value = { phase: "unknown", problem: answer.problem };
    }
  }

  function leaveOrExpire(): void {
    if (session.peek() === undefined) state.value = { phase: "out" };
    else expire();
  }

  return {
    state: state as ReadonlySignal<SessionState>,
    session,
    /** Whose page this is; also while their session has expired. */
    owner,
    /** Whether the server knows this page's person now, as far as we know. */
    signedIn: computed(() => state.value.phase === "in"),
    ask,
    expire,

    /** False when another tab has signed somebody else in since. Nothing kept means nothing known. */
    stillCurrent(who: Owner): boolean {
      const mark = keep.get(SIGNED_IN_KEY);
      return mark === null || mark === markOf(who);
    },

    async signIn(email: string, password: string): Promise<Problem | undefined> {
      turn += 1;
      const mine = turn;
      const answer = await calls.login(email, password);
      if (!answer.ok) return answer.problem;
      if (mine === turn) enter(answer.value);
      return undefined;
    },

    async signOut(): Promise<Problem | undefined> {
      turn += 1;
      const answer = await calls.logout();
      // Only the server ends a session. Saying "signed out" without its word would leave the next
      // person at this device inside it.
      if (!answer.ok && answer.problem.family !== "signIn") return answer.problem;
      turn += 1;
      batch(() => {
        keep.set(SIGNED_IN_KEY, null);
        state.value = { phase: "out" };
      });
      return undefined;
    },
  };
}
