/** Leave to send in an outbox's name, from what the page knows of the session. */
import type { Principal } from "../outbox/entry";
import type { Pass } from "../outbox/index";
import type { Session } from "../wire/shapes";
import { type SessionKeeper, sameOwner } from "./session";

/**
 * The page's session is handed out once; whoever asks again was refused with it, so the server is asked
 * who is here. What it says, the page hears too: a sender is often the first to meet an ended session.
 */
export function authorizer(
  session: Pick<SessionKeeper, "state" | "owner" | "stillCurrent" | "ask">,
  principal: Principal,
): () => Promise<Pass> {
  let handedOut: Session | undefined;

  function pass(): Pass | undefined {
    const state = session.state.peek();
    if (state.phase !== "in" || state.session === handedOut) return undefined;
    if (!sameOwner(session.owner.peek(), principal)) return { held: "anotherPerson" };
    const { csrfToken } = state.session;
    if (csrfToken === null || !session.stillCurrent(principal)) return undefined;
    handedOut = state.session;
    return { csrfToken };
  }

  return async () => {
    const known = pass();
    if (known) return known;
    const problem = await session.ask();
    return problem ? { problem } : (pass() ?? { held: "signIn" });
  };
}
