/** Caches as a browser has them, for tests: in memory, and with a room that can be made small. */

class FakeCache {
  readonly entries = new Map<string, Response>();
  constructor(private readonly room: { left: number }) {}

  async put(key: RequestInfo | URL, answer: Response): Promise<void> {
    if (this.room.left <= 0) throw new DOMException("no room", "QuotaExceededError");
    this.room.left -= 1;
    this.entries.delete(urlOf(key));
    this.entries.set(urlOf(key), answer.clone());
  }
  async match(key: RequestInfo | URL): Promise<Response | undefined> {
    return this.entries.get(urlOf(key))?.clone();
  }
  async delete(key: RequestInfo | URL): Promise<boolean> {
    return this.entries.delete(urlOf(key));
  }
  async keys(): Promise<Request[]> {
    return [...this.entries.keys()].map((url) => new Request(url));
  }
}

const urlOf = (key: RequestInfo | URL): string =>
  new URL(typeof key === "string" ? key : "url" in key ? key.url : key.href, "http://portal.test").href;

export function fakeCaches(room = { left: Number.POSITIVE_INFINITY }) {
  const all = new Map<string, FakeCache>();
  const caches = {
    async open(name: string) {
      const known = all.get(name) ?? new FakeCache(room);
      all.set(name, known);
      return known;
    },
    keys: async () => [...all.keys()],
    has: async (name: string) => all.has(name),
    delete: async (name: string) => all.delete(name),
    match: async (key: RequestInfo | URL, { cacheName }: { cacheName: string }) =>
      all.get(cacheName)?.match(key),
  };
  return {
    caches: caches as unknown as CacheStorage,
    room,
    /** The addresses in each cache. */
    held: () => Object.fromEntries([...all].map(([name, { entries }]) => [name, [...entries.keys()]])),
  };
}
