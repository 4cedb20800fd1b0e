/**
 * Tells the worker who is here, and sweeps away what it holds of anybody else. Caches are the one place
 * that page and worker share; where there are none, there is nothing to sweep.
 */
import { nameOf } from "../outbox/name";
import { HERE_CACHE, HERE_URL, isSomebodysCache, markOf, type Whose } from "../wire/worker-words";
import type { SessionState } from "./session";

export interface Here {
  /** Follows the session; resolves when the caches are as they should be. */
  follow(state: SessionState): Promise<void>;
}

export function createHere(caches: CacheStorage | undefined): Here {
  // One change after the other: a sign-out must not overtake the sign-in before it.
  let turn: Promise<void> = Promise.resolve();

  async function enter(whose: Whose): Promise<void> {
    if (!caches) return;
    // First the word, so that nothing of theirs is stored while the sweeping goes on.
    const notes = await caches.open(HERE_CACHE);
    const said = await notes.match(HERE_URL);
    // Not written anew where it stands: meanwhile the worker could find nobody here, and drop what it just stored.
    if ((await said?.text()) !== markOf(whose)) await notes.put(HERE_URL, new Response(markOf(whose)));
    const own = nameOf(whose);
    await sweep((name) => !name.startsWith(`${own}-`));
  }

  async function leave(everything: boolean): Promise<void> {
    if (!caches) return;
    await caches.delete(HERE_CACHE);
    if (everything) await sweep(() => true);
  }

  async function sweep(goes: (name: string) => boolean): Promise<void> {
    for (const name of (await caches?.keys()) ?? []) {
      if (isSomebodysCache(name) && goes(name)) await caches?.delete(name);
    }
  }

  return {
    follow(state) {
      turn = turn
        .then(() => {
          if ("session" in state) {
            const { orgId, userId } = state.session.principal;
            return enter({ orgId: orgId ?? "", userId });
          }
          // Whoever did not leave by themselves finds what they kept when they sign in again.
          if (state.phase === "out") return leave(state.last === undefined);
          // Not known yet: then nothing is swept away on a guess.
          return undefined;
        })
        // Storage that fails holds nothing either.
        .catch(() => {});
      return turn;
    },
  };
}
