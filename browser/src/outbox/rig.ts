/** For tests: a portal's server, as far as an outbox sees it, whose behaviour a test can change. */
import { IDBFactory } from "fake-indexeddb";
import type { Clock } from "../core/clock";
import { mintId } from "../core/ids";
import type { Principal } from "./entry";
// Loaded when it is needed, which takes real time; a test's own clock would not wait for it.
import "./loss";
import { openMemory } from "./memory";
import { openOutbox } from "./open";
import type { Channel, Mirror, Page, Parts } from "./parts";
import type { Outbox } from "./port";

export const ADA: Principal = { orgId: "tidewater", userId: "ada" };

export interface SentEvent {
  id: string;
  kind: string;
  seq?: number;
  orgId: string;
  checksum: string;
  body: unknown;
}
export interface Request {
  path: string;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever was sent, for a test to look into.
  body: any;
}
export type Behaviour = (request: Request) => Response | undefined | Promise<Response | undefined>;

export const json = (value: unknown, status = 202, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(value), {
    status,
    headers: { "Content-Type": "application/json", ...headers },
  });
export const problem = (status: number, code: string, headers: Record<string, string> = {}): Response =>
  json({ code, title: code, status, detail: `Refused: ${code}.` }, status, {
    "Content-Type": "application/problem+json",
    ...headers,
  });
export const networkDown = (): Promise<Response> => Promise.reject(new TypeError("Failed to fetch"));

/** Applies each id once, counts each device's numbers, and answers as the server does. */
export class FakeServer {
  /** How often each id was applied: must stay at one. */
  readonly applied = new Map<string, unknown>();
  readonly requests: Request[] = [];
  readonly counted = new Map<string, Set<number>>();
  readonly lossReports: { missing: [number, number][] }[] = [];
  /** Whose cookie the browser carries. */
  cookie: Principal | undefined = ADA;
  csrfToken = "token";
  /** What a test wants instead; undefined: the usual answer. */
  behaviour: Behaviour = () => undefined;
  slowDownMs = 0;

  readonly fetch = (async (path: string, init: RequestInit) => {
    const text = String(init.body ?? "");
    const request = { path, text, headers: new Headers(init.headers), body: text ? JSON.parse(text) : {} };
    this.requests.push(request);
    return (await this.behaviour(request)) ?? this.answer(request);
  }) as typeof fetch;

  answer({ path, body, headers }: Request): Response {
    const { cookie } = this;
    if (path === "/api/auth/session") {
      if (!cookie) return problem(401, "not_signed_in");
      const { orgId, userId } = cookie;
      const orgs = [{ id: orgId, name: orgId, roles: ["learner"] }];
      const principal = { userId, orgId, email: "", name: "", roles: [], orgs };
      return json({ principal, csrfToken: this.csrfToken, demo: false }, 200);
    }
    if (!cookie) return problem(401, "not_signed_in");
    if (headers.get("X-CSRF-Token") !== this.csrfToken) return problem(403, "csrf_refused");
    if (path === "/api/client/receipts") {
      const held = body.ids.filter((id: string) => this.applied.has(id));
      return json(
        { held, notHeld: body.ids.filter((id: string) => !this.applied.has(id)), unknown: [] },
        200,
      );
    }
    if (path === "/api/client/loss") {
      this.lossReports.push(body);
      return json({ receipt: { id: body.id, status: "accepted" } });
    }
    if (path.endsWith("assign")) {
      const receipt = this.take(body, body.deviceId, body.generation);
      return json({ receipt, assigned: body.userIds.length, already: 0, refused: [] }, 200);
    }
    const receipts = body.events.map((event: SentEvent) => this.take(event, body.deviceId, body.generation));
    return json({
      receipts,
      device: this.deviceState(body.deviceId, body.generation),
      slowDownMs: this.slowDownMs,
    });
  }

  take(event: { id: string; seq?: number }, deviceId: string, generation: number) {
    const known = this.applied.has(event.id);
    this.applied.set(event.id, event);
    if (event.seq !== undefined) this.numbersOf(deviceId, generation).add(event.seq);
    return { id: event.id, status: known ? "duplicate" : "accepted", position: "1", durable: "fsync" };
  }

  numbersOf(deviceId: string, generation: number): Set<number> {
    const key = `${deviceId} ${generation}`;
    const numbers = this.counted.get(key) ?? new Set();
    this.counted.set(key, numbers);
    return numbers;
  }

  deviceState(deviceId: string, generation: number) {
    const numbers = this.numbersOf(deviceId, generation);
    const acceptedThrough = Math.max(0, ...numbers);
    const missing: [number, number][] = [];
    for (let seq = 1; seq < acceptedThrough; seq += 1) if (!numbers.has(seq)) missing.push([seq, seq]);
    return { acceptedThrough, missing };
  }

  /** The requests that carried entries. */
  get batches(): Request[] {
    return this.requests.filter(({ path, body }) => path.endsWith("/batch") && body.events.length > 0);
  }
}

export const completed = (lessonId: string) => ({
  kind: "lesson.completed",
  payload: JSON.stringify({ courseId: "course", lessonId }),
});
export const progressed = (percent: number) => ({
  kind: "lesson.progressed",
  payload: JSON.stringify({ courseId: "course", lessonId: "one", percent }),
});
export const assigned = (...userIds: string[]) => ({
  kind: "course.assigned",
  payload: JSON.stringify({ courseId: "course", userIds }),
});

const { setImmediate } = globalThis as unknown as { setImmediate: (run: () => void) => void };
const macrotask = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Time that only a test moves on. What databases and promises do by themselves gets its turns in between. */
export class ManualClock implements Clock {
  private sinceMs = 0;
  private readonly timers = new Set<{ dueMs: number; run: () => void }>();
  private readonly startMs = Date.parse("2026-11-23T08:00:00Z");
  /** How far the device's own clock is off, for a test that sets it. */
  skewMs = 0;

  now = (): number => this.startMs + this.sinceMs + this.skewMs;
  elapsed = (): number => this.sinceMs;
  after = (delayMs: number, run: () => void): (() => void) => {
    const timer = { dueMs: this.sinceMs + Math.max(0, delayMs), run };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  };

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 24; turn += 1) await macrotask();
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.sinceMs + ms;
    await this.settle();
    for (;;) {
      const [next] = [...this.timers].sort((one, other) => one.dueMs - other.dueMs);
      if (!next || next.dueMs > endMs) break;
      this.sinceMs = Math.max(this.sinceMs, next.dueMs);
      this.timers.delete(next);
      next.run();
      await this.settle();
    }
    this.sinceMs = endMs;
    await this.settle();
  }

  /** Until it holds; fails when it does not within ten minutes of this clock. */
  async until(holds: () => boolean | Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < 1_200; tries += 1) {
      if (await holds()) return;
      await this.pass(500);
    }
    throw new Error("it never came to hold");
  }
}

/** Web Locks of one browser, shared by the tabs a test opens; one lock each is enough. */
export class FakeLocks {
  private holder: { end: (fault: unknown) => void } | undefined;
  private readonly queue: (() => void)[] = [];

  readonly request = ((
    _name: string,
    { steal, signal }: { steal?: boolean; signal?: AbortSignal },
    work: () => unknown,
  ): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const mine = { end: reject };
      const next = (): void => {
        if (this.holder !== mine) return;
        this.holder = undefined;
        this.queue.shift()?.();
      };
      const take = (): void => {
        this.holder = mine;
        // As in a browser: the answer to a request comes in a task of its own.
        void macrotask().then(work).then(resolve, reject).finally(next);
      };
      signal?.addEventListener("abort", () => {
        const at = this.queue.indexOf(take);
        if (at >= 0) this.queue.splice(at, 1);
        reject(new DOMException("", "AbortError"));
      });
      if (steal) {
        this.holder?.end(new DOMException("", "AbortError"));
        take();
      } else if (this.holder) this.queue.push(take);
      else take();
    })) as unknown as LockManager["request"];

  readonly query = (() => Promise.resolve({})) as LockManager["query"];
}

/** BroadcastChannels of one browser. A channel that is `deaf` stands for a frozen tab. */
export class FakeChannels {
  private readonly open = new Set<Channel & { deaf: boolean }>();
  readonly channel = (): Channel & { deaf: boolean } => {
    const { open } = this;
    const channel: Channel & { deaf: boolean } = {
      deaf: false,
      onmessage: null,
      postMessage(message) {
        const data = structuredClone(message);
        for (const other of open) {
          if (other !== channel) {
            void macrotask().then(() => !other.deaf && other.onmessage?.({ data } as MessageEvent));
          }
        }
      },
      close: () => void open.delete(channel),
    };
    open.add(channel);
    return channel;
  };
}

/** A browser's databases, which a test breaks and mends. */
export class BreakableDatabases {
  readonly real = new IDBFactory();
  /** "dead": the storage process is gone. "full": writing more fails as the transaction ends, deleting works. */
  condition: "well" | "dead" | "full" = "well";
  opens = 0;

  readonly factory = {
    open: (name: string, version?: number) => {
      this.opens += 1;
      if (this.condition === "dead") throw new DOMException("The backing store is gone.", "UnknownError");
      const asked = this.real.open(name, version);
      asked.addEventListener("success", () => this.wrap(asked.result));
      return asked;
    },
  } as unknown as IDBFactory;

  private wrap(database: IDBDatabase): void {
    const begin = database.transaction.bind(database);
    database.transaction = (...how) => {
      if (this.condition === "dead") throw new DOMException("The database is closing.", "InvalidStateError");
      const transaction = begin(...how);
      const shelf = transaction.objectStore.bind(transaction);
      transaction.objectStore = (name) => {
        const store = shelf(name);
        const put = store.put.bind(store);
        store.put = (...record) => {
          const request = put(...record);
          // As measured: the request succeeds, and then the transaction fails.
          if (this.condition === "full") {
            const error = new DOMException("", "QuotaExceededError");
            Object.defineProperty(transaction, "error", { get: () => error, set() {} });
            transaction.commit = () => {};
            request.addEventListener("success", () => transaction.abort());
          }
          return request;
        };
        return store;
      };
      return transaction;
    };
  }

  /** As when a person clears the site's data. */
  delete(name: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const asked = this.real.deleteDatabase(name);
      asked.onsuccess = () => resolve();
      asked.onerror = () => reject(asked.error);
    });
  }

  /** Everything that stands on a shelf, as it stands there. */
  async records(name: string, shelf: string): Promise<unknown[]> {
    return this.within(name, shelf, (store) => store.getAll());
  }

  async within<T>(name: string, shelf: string, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const opened = await new Promise<IDBDatabase>((resolve, reject) => {
      const asked = this.real.open(name);
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(asked.error);
    });
    const asked = ask(opened.transaction(shelf, "readwrite").objectStore(shelf));
    await new Promise<void>((resolve) => {
      asked.onsuccess = () => resolve();
    });
    opened.close();
    return asked.result;
  }
}

/** localStorage, which a test may fill or forbid. */
export class FakeMirror implements Mirror {
  readonly texts = new Map<string, string>();
  fails = false;
  private check(): void {
    if (this.fails) throw new DOMException("", "QuotaExceededError");
  }
  get(key: string): string | null {
    this.check();
    return this.texts.get(key) ?? null;
  }
  set(key: string, value: string | null): void {
    this.check();
    if (value === null) this.texts.delete(key);
    else this.texts.set(key, value);
  }
  keys(): string[] {
    this.check();
    return [...this.texts.keys()];
  }
}

/** A tab that a test shows, hides and ends. */
export class FakePage implements Page {
  private readonly listeners = new Set<(change: "seen" | "hidden" | "gone") => void>();
  constructor(private isVisible = true) {}
  visible = (): boolean => this.isVisible;
  listen = (heard: (change: "seen" | "hidden" | "gone") => void): (() => void) => {
    this.listeners.add(heard);
    return () => void this.listeners.delete(heard);
  };
  tell(change: "seen" | "hidden" | "gone"): void {
    this.isVisible = change === "seen";
    for (const heard of this.listeners) heard(change);
  }
}

export const open = (server: FakeServer, parts: Partial<Parts> = {}): Promise<Outbox> =>
  openOutbox({
    principal: ADA,
    fetch: server.fetch,
    mintId,
    random: () => 0,
    ...(parts.indexedDB === undefined && { engine: openMemory }),
    locks: null,
    channel: null,
    ...parts,
  });

/** A device whose storage a test breaks. `end` mends it and closes what was opened. */
export function newDevice() {
  const [clock, server] = [new ManualClock(), new FakeServer()];
  const [disk, mirror] = [new BreakableDatabases(), new FakeMirror()];
  const opened: Outbox[] = [];
  return {
    clock,
    server,
    disk,
    mirror,
    async open(parts: Partial<Parts> = {}): Promise<Outbox> {
      const outbox = await open(server, { clock, indexedDB: disk.factory, mirror, ...parts });
      opened.push(outbox);
      return outbox;
    },
    async end(): Promise<void> {
      disk.condition = "well";
      for (const outbox of opened) await outbox.close();
    },
  };
}
