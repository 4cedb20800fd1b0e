/**
 * Where answers lie on the device: caches of one principal, never read or written for another.
 *
 * Who is signed in is the page's to know. What comes back for anybody else is not stored; and what was
 * stored while they signed out is swept away again.
 */
import { nameOf } from "../outbox/name";
import { cachesOf, HERE_CACHE, HERE_URL, markOf, WHOSE, type Whose, whoseMark } from "../wire/worker-words";
import { stored } from "./judge";

/** How many answers stay without having been chosen; the oldest go first. */
const MOST = { reads: 300, figures: 300 };

export async function whoIsHere(): Promise<Whose | undefined> {
  const said = await caches.match(HERE_URL, { cacheName: HERE_CACHE });
  return said && whoseMark(await said.text());
}

export interface Drawer {
  held(url: string): Promise<Response | undefined>;
  keep(url: string, answer: Response, pin: boolean): Promise<boolean>;
  drop(url: string): Promise<void>;
}

/** A page reads as soon as it knows who is here, and may say so in the caches a moment after the answer. */
const ARRIVING_MS = [0, 50, 200, 1_000, 3_000];
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export function drawerOf(whose: Whose, shelf: keyof typeof MOST, now: () => number, sleep = pause): Drawer {
  const mark = markOf(whose);
  const names = cachesOf(nameOf(whose));
  const isHere = async () => {
    const here = await whoIsHere();
    return here !== undefined && markOf(here) === mark;
  };
  async function arrives(): Promise<boolean> {
    for (const ms of ARRIVING_MS) {
      if (ms > 0) await sleep(ms);
      if (await isHere()) return true;
    }
    return false;
  }
  // The server's `Vary` names what a page can't choose; whose an answer is stands in its own header.
  const find = (name: string, url: string) => caches.match(url, { cacheName: name, ignoreVary: true });

  async function held(url: string): Promise<Response | undefined> {
    const found = (await find(names.kept, url)) ?? (await find(names[shelf], url));
    return found?.headers.get(WHOSE) === mark ? found : undefined;
  }

  async function keep(url: string, answer: Response, pin: boolean): Promise<boolean> {
    if (!(await arrives())) return false;
    const pinned = pin || (await find(names.kept, url)) !== undefined;
    const name = pinned ? names.kept : names[shelf];
    try {
      const cache = await caches.open(name);
      await cache.put(url, stored(answer, now()));
      if (pinned) await remove(names[shelf], url);
      else await trim(cache, MOST[shelf]);
      if (await isHere()) return true;
      // What they kept before may wait for them; this answer came too late to be among it.
      await remove(name, url);
    } catch {
      // No room, or the storage is out: reading goes on, only not without the network.
    }
    return false;
  }

  async function drop(url: string): Promise<void> {
    await remove(names.kept, url);
    await remove(names[shelf], url);
  }

  return { held, keep, drop };
}

/** A cache that holds nothing any more goes, too: its name says that somebody was here. */
async function remove(name: string, url: string): Promise<void> {
  if (!(await caches.has(name))) return;
  const cache = await caches.open(name);
  await cache.delete(url, { ignoreVary: true });
  if ((await cache.keys()).length === 0) await caches.delete(name);
}

async function trim(cache: Cache, most: number): Promise<void> {
  const keys = await cache.keys();
  for (const key of keys.slice(0, Math.max(0, keys.length - most))) await cache.delete(key);
}
