import { createContext } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import type { Problem } from "../../core/problem";
import type { Admin } from "../../state/admin";
import { olderOf } from "../../state/admin-people";
import type { Shown } from "../../state/reads";
import type { Answer } from "../../wire/client";
import { usePortal } from "../use-portal";

export const AdminContext = createContext<Admin | undefined>(undefined);

export function useAdmin(): Admin {
  const admin = useContext(AdminContext);
  if (admin === undefined) throw new Error("an administrator's page stands outside of the others");
  return admin;
}

export interface Sent<T> {
  readonly busy: boolean;
  readonly problem?: Problem;
  readonly done?: T;
}

/**
 * A change that goes straight to the server, and how it went. Nothing is tried again by itself and nothing
 * that was typed is thrown away: a person sees what came of it and decides.
 */
export function useChange<T>() {
  const { session } = usePortal();
  const [sent, setSent] = useState<Sent<T>>({ busy: false });
  async function send(ask: () => Promise<Answer<T>>): Promise<T | undefined> {
    if (sent.busy) return undefined;
    setSent({ busy: true });
    const answer = await session.change(ask);
    if (answer.ok) {
      setSent({ busy: false, done: answer.value });
      return answer.value;
    }
    setSent({ busy: false, problem: answer.problem });
    if (answer.problem.family === "signIn") session.expire();
    return undefined;
  }
  return { ...sent, send, clear: () => setSent({ busy: false }) };
}

interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
  readonly total?: number;
}

export interface Paged<T> extends Omit<Shown<readonly T[]>, "value"> {
  /** Of the last question that was answered; undefined before the first one. */
  readonly items?: readonly T[];
  readonly next: string | null;
  readonly total?: number;
  more(): void;
  again(): void;
}

/** A portal may answer while its store does not, and nobody tells when that is over. */
const LOOK_AGAIN_MS = 15_000;

/** A long list, page after page. Another `key` is another question; the old answer stays until the new one is there. */
export function usePaged<T>(key: string, ask: (after?: string) => Promise<Answer<Page<T>>>): Paged<T> {
  const { session, health, clock } = usePortal();
  const [state, setState] = useState<Omit<Paged<T>, "more" | "again">>({ next: null, loading: true });
  const turn = useRef(0);
  // Whoever asks again after a wait means the question that stands then, not the one of their own render.
  const question = useRef(ask);
  question.current = ask;
  const askedAfter = useRef<string | undefined>(undefined);

  /** `quietly`: nobody pressed, so that why the last one failed stands until there is an answer. */
  async function load(after?: string, quietly = false): Promise<void> {
    turn.current += 1;
    const mine = turn.current;
    askedAfter.current = after;
    setState(({ problem, ...before }) => ({ ...before, ...(quietly && { problem }), loading: true }));
    const answer = await question.current(after);
    if (mine !== turn.current) return;
    if (!answer.ok) {
      const { problem } = answer;
      setState((before) => ({ ...before, problem, loading: false }));
      if (problem.family === "signIn") session.expire();
      return;
    }
    const { items, next, total } = answer.value;
    setState((all) => {
      // The device says the same once more: the further pages that were opened stay.
      if (quietly && answer.fromDevice && all.fromDevice && !all.problem) return { ...all, loading: false };
      const before = after === undefined ? undefined : all;
      const asOf = olderOf(before?.asOf, answer.asOf);
      return {
        items: [...(before?.items ?? []), ...items],
        next,
        ...(total !== undefined && { total }),
        ...(asOf !== undefined && { asOf }),
        ...((answer.fromDevice || before?.fromDevice) && { fromDevice: true as const }),
        loading: false,
      };
    });
  }

  useEffect(() => void load(), [key]);
  const mayAsk = health.service.value.reach === "reached" && session.signedIn.value;
  const failed = state.problem ? state.problem.family !== "refused" : state.fromDevice === true;
  // The page that failed, after those that stand here; what came from the device is read anew from its start.
  const lookAgain = () => void load(state.problem && askedAfter.current, true);
  useEffect(() => {
    if (mayAsk && failed) lookAgain();
  }, [mayAsk]);
  const waits = mayAsk && failed && !state.loading;
  useEffect(() => (waits ? clock.after(LOOK_AGAIN_MS, lookAgain) : undefined), [waits]);

  return {
    ...state,
    more: () => {
      if (state.next !== null && !state.loading) void load(state.next);
    },
    again: () => void load(),
  };
}

const PAUSE_MS = 300;

/** What somebody types, a moment after they stopped. */
export function usePause(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}
