/** Leave to send, asked for once and kept until the server refuses it; and the calls that carry it. */
import type { Clock } from "../core/clock";
import { unreachable } from "../core/problem";
import type { Backlog } from "../wire/calls";
import { createCaller } from "../wire/client";
import { createSendingCalls, type SendingCalls } from "../wire/sending";
import type { Parts, Pass } from "./parts";

export interface PassKeeper {
  readonly calls: SendingCalls;
  ask(): Promise<Pass>;
  /** The server did not know the session: asks anew before anything else is sent. */
  drop(): void;
  token(): string | undefined;
}

export function openPass(parts: Parts, clock: Clock, backlog: () => Backlog): PassKeeper {
  const { fetch, principal, authorize = askServer } = parts;
  let token: string | undefined;
  let asking: Promise<Pass> | undefined;
  const calls = createSendingCalls(
    createCaller({ fetch, clock, csrfToken: () => token }),
    principal.orgId,
    backlog,
  );

  /**
   * Whose cookie this is: another person's must never send this principal's entries. The token belongs to
   * that person's session, so when another signs in later, the server refuses the two together.
   */
  async function askServer(): Promise<Pass> {
    const answer = await calls.whoIsIn();
    if (!answer.ok) {
      return answer.problem.family === "signIn" ? { held: "signIn" } : { problem: answer.problem };
    }
    const { principal: there, csrfToken } = answer.value;
    const isTheirs = there.userId === principal.userId && there.orgs.some(({ id }) => id === principal.orgId);
    return isTheirs && csrfToken !== null ? { csrfToken } : { held: "anotherPerson" };
  }

  async function askOnce(): Promise<Pass> {
    try {
      const given = await authorize();
      if ("csrfToken" in given) token = given.csrfToken;
      return given;
    } catch {
      return { problem: unreachable("Nobody could say who is signed in.") };
    } finally {
      asking = undefined;
    }
  }

  return {
    calls,
    ask() {
      if (token !== undefined) return Promise.resolve({ csrfToken: token });
      asking ??= askOnce();
      return asking;
    },
    drop() {
      token = undefined;
    },
    token: () => token,
  };
}
