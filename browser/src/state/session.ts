/**
 * Who is signed in here, as far as the server said; and who was last, when it can't be asked.
 *
 * All tabs share one cookie, which no script can read or drop. What this device remembers beside it are
 * names and roles, never a token.
 */
import { batch, computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Clock } from "../core/clock";
import type { Problem } from "../core/problem";
import type { Calls } from "../wire/calls";
import type { Answer } from "../wire/client";
import type { Principal, Session } from "../wire/shapes";
import type { Keep } from "./keep";
import { rememberIn } from "./remembered";

export type SessionState =
  | { phase: "asking" }
  /**
   * `last`: who was signed in here when the server ended the session by itself; what they did waits.
   * `farewell`: how far the server knows of a sign-out. "owed": it could not be told yet.
   */
  | { phase: "out"; last?: Principal; farewell?: "telling" | "owed" | "told" }
  | { phase: "in"; session: Session }
  /** The server no longer knows this session; the page and its unsent events stay this person's. */
  | { phase: "expired"; session: Session }
  /** The server can't be asked; this device remembers who was signed in last. */
  | { phase: "remembered"; session: Session; problem?: Problem }
  /** The server can't be asked, and nobody is remembered. */
  | { phase: "unknown"; problem: Problem };

/** Whose an event is: a person, in one org. */
export interface Owner {
  readonly userId: string;
  readonly orgId: string;
}

export const sameOwner = (one: Owner | undefined, other: Owner | undefined): boolean =>
  one !== undefined && one.userId === other?.userId && one.orgId === other.orgId;

/** The same owner in one word, as a key. */
export const markOf = (owner: Owner): string => `${owner.orgId} ${owner.userId}`;

/**
 * When a tab signs somebody else in, the others' next request would carry the new person's cookie; this
 * mark in localStorage tells them before they send under a wrong name.
 */
export const SIGNED_IN_KEY = "holdfast.signedIn";
const ownerOf = ({ userId, orgId }: Principal): Owner => ({ userId, orgId: orgId ?? "" });

/** Says "somebody else" only when it is somebody else, however often the server repeats itself. */
function steady(look: () => Owner | undefined): ReadonlySignal<Owner | undefined> {
  let before: Owner | undefined;
  return computed(() => {
    const now = look();
    if (!sameOwner(now, before)) before = now;
    return before;
  });
}

/** A hanging network may take 20 s to fail. A person this device knows need not look at nothing so long. */
const PATIENCE_MS = 2_500;
/** How often the server is asked again because another tab changed who is here while it answered. */
const TRIES = 3;

export type SessionKeeper = ReturnType<typeof createSession>;
export type SessionCalls = Pick<Calls, "session" | "login" | "logout">;

export function createSession(calls: SessionCalls, keep: Keep, clock: Clock) {
  const remembered = rememberIn(keep);
  const state = signal<SessionState>({ phase: "asking" });
  /** Counts the person's own sign-ins and sign-outs: an answer asked for before one is not heard after it. */
  let turn = 0;
  /** Sign-in and sign-out both set the cookie, so that one waits for the other. */
  let lastOfCookie: Promise<unknown> = Promise.resolve();
  /** How many changes are on their way straight to the server. */
  let changing = 0;

  const session = computed(() => ("session" in state.value ? state.value.session : undefined));
  const owner = steady(() => {
    const principal = session.value?.principal;
    return principal && ownerOf(principal);
  });

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = lastOfCookie.then(work);
    lastOfCookie = done.catch(() => {});
    return done;
  }

  function enter(entered: Session): void {
    keep.set(SIGNED_IN_KEY, markOf(ownerOf(entered.principal)));
    remembered.person(entered);
    remembered.owe(undefined);
    state.value = { phase: "in", session: entered };
  }

  function expire(): void {
    const current = state.value;
    if (current.phase === "in" || current.phase === "remembered") {
      state.value = { phase: "expired", session: current.session };
    }
  }

  /**
   * The server's word on who is here. Undefined when another tab signed somebody in or out while it was on
   * its way: it may speak of a cookie that is no more, and would unlock what was locked since.
   */
  async function word(): Promise<Answer<Session> | undefined> {
    const known = () => `${keep.get(SIGNED_IN_KEY)} ${remembered.owed()}`;
    const before = known();
    const answer = await calls.session();
    return known() === before ? answer : undefined;
  }

  /**
   * Asks the server who this is. Gives the problem when no answer came; that changes nothing that was known.
   */
  async function ask(tries = TRIES): Promise<Problem | undefined> {
    if (remembered.owed() !== undefined) {
      await inTurn(payFarewell);
      return undefined;
    }
    const asked = turn;
    const stopWaiting = clock.after(PATIENCE_MS, () => asked === turn && remember(undefined));
    const answer = await word();
    stopWaiting();
    if (asked !== turn) return undefined;
    if (answer === undefined) return tries > 1 ? ask(tries - 1) : undefined;
    if (answer.ok) enter(answer.value);
    else if (answer.problem.family === "signIn") leaveOrExpire();
    else {
      remember(answer.problem);
      return answer.problem;
    }
    return undefined;
  }

  /**
   * A change that goes straight to the server. When the same person signed in again in another tab, this one's
   * token is the old session's: the change was not made then, so the new token is asked for and it is sent again.
   */
  async function change<T>(send: () => Promise<Answer<T>>): Promise<Answer<T>> {
    const who = owner.peek();
    changing += 1;
    try {
      const answer = await send();
      if (answer.ok || answer.problem.code !== "csrf_refused") return answer;
      await ask();
      // The cookie may be somebody else's by now: nothing is done in their name.
      return sameOwner(who, owner.peek()) ? await send() : answer;
    } finally {
      changing -= 1;
    }
  }

  /** Goes on with the last known person, where nothing better is known. */
  function remember(problem: Problem | undefined): void {
    const { phase } = state.peek();
    if (phase === "in" || phase === "expired" || phase === "out") return;
    const known = remembered.session();
    if (known) state.value = { phase: "remembered", session: known, ...(problem && { problem }) };
    else if (problem) state.value = { phase: "unknown", problem };
  }

  function leaveOrExpire(): void {
    const last = remembered.session()?.principal;
    // Nobody remembered: the person signed out, in this tab or another. Their page goes, too.
    if (last === undefined) leave(undefined);
    else if (session.peek() === undefined) state.value = { phase: "out", last };
    else expire();
  }

  function leave(farewell: "telling" | "owed" | "told" | undefined): void {
    state.value = { phase: "out", ...(farewell && { farewell }) };
  }

  /** A sign-out the server was never told of is made good before anything else is asked. */
  async function payFarewell(): Promise<void> {
    if (remembered.owed() === undefined) return;
    if (state.peek().phase !== "out") leave("owed");
    let answer: Answer<Session> | undefined;
    for (let tries = TRIES; answer === undefined && tries > 0; tries -= 1) answer = await word();
    if (answer === undefined) return;
    if (answer.ok && markOf(ownerOf(answer.value.principal)) !== remembered.owed()) {
      // Somebody else's session stands behind the cookie by now: that one is not ours to end.
      enter(answer.value);
    } else if (answer.ok) {
      await sayFarewell(answer.value.csrfToken);
    } else if (answer.problem.family === "signIn") {
      remembered.owe(undefined);
      leave("told");
    }
  }

  async function sayFarewell(csrfToken: string | null): Promise<void> {
    const who = remembered.owed();
    const answer = await calls.logout(csrfToken);
    const over = answer.ok || answer.problem.family === "signIn";
    // What another tab came to owe meanwhile is not paid by this.
    if (over && remembered.owed() === who) remembered.owe(undefined);
    leave(over ? "told" : "owed");
  }

  return {
    state: state as ReadonlySignal<SessionState>,
    session,
    /** Whose page this is; also while their session has expired, or the server can't be asked. */
    owner,
    /** Whose outbox is open: the page's person, or who was here when the session ended by itself. */
    holder: steady(() => {
      const current = state.value;
      if (current.phase === "out") return current.last && ownerOf(current.last);
      return owner.value;
    }),
    /** Whether the server knows this page's person now, as far as we know. */
    signedIn: computed(() => state.value.phase === "in"),
    ask: (): Promise<Problem | undefined> => ask(),
    expire,
    change,
    /** Whether a change is on its way: a reload would cut it off. */
    isChanging: (): boolean => changing > 0,

    /** Whether the server has something to be asked: who is here, or to end what was ended here. */
    unsettled: (): boolean => {
      const { phase } = state.peek();
      return phase === "unknown" || phase === "remembered" || remembered.owed() !== undefined;
    },

    /** False when another tab has signed somebody else in since. Nothing kept means nothing known. */
    stillCurrent(who: Owner): boolean {
      const mark = keep.get(SIGNED_IN_KEY);
      return mark === null || mark === markOf(who);
    },

    signIn(email: string, password: string): Promise<Problem | undefined> {
      turn += 1;
      const mine = turn;
      return inTurn(async () => {
        const answer = await calls.login(email, password);
        if (!answer.ok) return answer.problem;
        if (mine !== turn) return undefined;
        // What was asked meanwhile went out with the cookie of before: its late word is not heard.
        turn += 1;
        enter(answer.value);
        return undefined;
      });
    },

    /**
     * Locks this device's screen at once and tells the server. Only the server can end the session behind
     * the cookie; where it can't be reached, that is owed, said on the screen, and made good first of all
     * when it answers again, also after a restart.
     */
    signOut(): Promise<void> {
      const current = session.peek();
      if (current === undefined) return Promise.resolve();
      turn += 1;
      batch(() => {
        // The debt first: a page that dies on the next line still ends the session at its next start.
        remembered.owe(markOf(ownerOf(current.principal)));
        remembered.person(undefined);
        keep.set(SIGNED_IN_KEY, null);
        leave("telling");
      });
      return inTurn(() => (current.csrfToken === null ? payFarewell() : sayFarewell(current.csrfToken)));
    },
  };
}
