/**
 * The page itself, without the network: the shell for every address of the client's, and the build's files.
 *
 * Workbox fetches and finds them. It would also throw away, at each update, all files that the new build
 * lacks, and a tab that is still open could not load its next page. So the cleaning is done here, and
 * leaves the build before this one alone.
 */
import { PrecacheController } from "workbox-precaching/PrecacheController.js";
import { CacheFirst } from "workbox-strategies/CacheFirst.js";
import type { ToWorker } from "../wire/worker-words";
import { route, routeTo } from "./router";
import { type Manifest, scope } from "./scope";
import { tellPages } from "./tell";

const BUILDS_CACHE = "holdfast-builds";
const BUILDS_URL = "/builds";
const BUILDS_KEPT = 2;

interface Build {
  readonly build: string;
  /** Whole addresses, as they stand in the cache. */
  readonly keys: readonly string[];
}

/** Whether it is what was asked for: a captive portal answers every address with a page of its own. */
const isGenuine = async ({ request, response }: { request: Request; response: Response }) => {
  const { pathname } = new URL(request.url);
  const type = response.headers.get("Content-Type") ?? "";
  const isPage = pathname === "/";
  const ours =
    response.status === 200 &&
    !response.redirected &&
    type.includes("text/html") === isPage &&
    (!isPage || (await response.clone().text()).includes('name="holdfast-build"'));
  return ours ? response : null;
};

export function serveShell({ build, first, later }: Manifest): void {
  const plugins = [{ cacheWillUpdate: isGenuine }];
  const controller = new PrecacheController({ plugins });
  controller.addToCacheList([
    { url: "/", revision: build },
    ...first.map((url) => ({ url, revision: url.startsWith("/assets/") ? null : build })),
  ]);
  const { cacheName } = controller.strategy;
  const assets = new CacheFirst({ cacheName, plugins, matchOptions: { ignoreVary: true } });
  const toShell = controller.createHandlerBoundToURL("/");

  scope.addEventListener("install", (event) => {
    event.waitUntil(controller.install(event).then(() => tellPages({ type: "CACHE_UPDATED", build })));
  });
  scope.addEventListener("activate", (event) => {
    const keys = [...controller.getURLsToCacheKeys().values(), ...later.map(absolute)];
    event.waitUntil(keepTwoBuilds({ build, keys }, cacheName).then(() => scope.clients.claim()));
  });
  scope.addEventListener("message", (event) => {
    const { type } = (event.data ?? {}) as Partial<ToWorker>;
    if (type === "SKIP_WAITING") event.waitUntil(scope.skipWaiting());
    if (type === "CLAIM") event.waitUntil(scope.clients.claim());
    if (type === "build") event.ports[0]?.postMessage(build);
    if (type === "forceCleanup" && __DEVELOPMENT__) event.waitUntil(cleanUp());
  });

  routeTo("shell", toShell);
  routeTo("asset", async ({ request, event, url }) => {
    // Whoever opens one of these pages gets all of them, so that an update can't take the rest away.
    if (later.includes(url.pathname)) event.waitUntil(fetchAll(later, assets, event));
    return assets.handle({ request, event });
  });
  // Files beside the shell, such as /favicon.svg.
  route(
    ({ url }) => controller.getCacheKeyForURL(url.href) !== undefined && url.pathname !== "/",
    controller.strategy,
  );
}

const absolute = (path: string): string => new URL(path, scope.location.href).href;

async function fetchAll(paths: readonly string[], assets: CacheFirst, event: ExtendableEvent): Promise<void> {
  for (const path of paths) {
    const [, done] = assets.handleAll({ request: new Request(path), event });
    // Offline: what is not here yet comes with the next opening.
    await done.catch(() => {});
  }
}

/** Drops the files that neither this build nor the one before it consists of. */
async function keepTwoBuilds(current: Build, cacheName: string): Promise<void> {
  const notes = await caches.open(BUILDS_CACHE);
  const known = await readBuilds(notes);
  const builds = [current, ...known.filter(({ build }) => build !== current.build)].slice(0, BUILDS_KEPT);
  // The note first: a worker that ends on the next line has only cleaned too little.
  await notes.put(BUILDS_URL, new Response(JSON.stringify(builds)));
  const needed = new Set(builds.flatMap(({ keys }) => keys));
  const cache = await caches.open(cacheName);
  for (const { url } of await cache.keys()) if (!needed.has(url)) await cache.delete(url);
}

async function readBuilds(notes: Cache): Promise<Build[]> {
  try {
    const said: unknown = await (await notes.match(BUILDS_URL))?.json();
    return Array.isArray(said) ? said.filter(isBuild) : [];
  } catch {
    return [];
  }
}

const isBuild = (value: Partial<Build> | null): value is Build =>
  typeof value?.build === "string" && Array.isArray(value.keys);

/** For development: as if there had never been a worker here. The outboxes' databases are nobody's cache. */
async function cleanUp(): Promise<void> {
  for (const name of await caches.keys()) await caches.delete(name);
  await scope.registration.unregister();
}
