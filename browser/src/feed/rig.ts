/** For tests: a server's stream that a test writes, locks and a channel without a browser. */
import type { Opened } from "../wire/client";

/** One opened line: the test says, ends and breaks; the reader sees what a browser would. */
export class Line {
  private readonly waiting: ((text: string | undefined) => void)[] = [];
  private readonly said: (string | undefined)[] = [];
  private failed: (() => void) | undefined;
  private breakNow = () => {};

  constructor(
    readonly headers: Record<string, string>,
    readonly ended: AbortController,
  ) {
    ended.signal.addEventListener("abort", () => this.break());
  }

  say(text: string): void {
    this.put(text);
  }

  tell(event: string, data: unknown, id?: string): void {
    this.say(`event: ${event}\n${id ? `id: ${id}\n` : ""}data: ${JSON.stringify(data)}\n\n`);
  }

  close(): void {
    this.put(undefined);
  }

  break(): void {
    this.failed = () => {};
    this.breakNow();
  }

  read = (): Promise<string | undefined> =>
    new Promise((resolve, reject) => {
      if (this.failed) return reject(new TypeError("network error"));
      if (this.said.length > 0) return resolve(this.said.shift());
      this.waiting.push(resolve);
      this.breakNow = () => reject(new TypeError("network error"));
    });

  private put(text: string | undefined): void {
    const reader = this.waiting.shift();
    if (reader) reader(text);
    else this.said.push(text);
  }
}

/** Lines in the order in which they were opened. */
export class FakeWire {
  readonly lines: Line[] = [];
  /** What opening ends in, where it is not a line. */
  refuse: (() => Promise<Opened>) | undefined;

  open = async (_path: string, headers: Record<string, string>, ended: AbortController): Promise<Opened> => {
    if (this.refuse) return this.refuse();
    const line = new Line(headers, ended);
    this.lines.push(line);
    return { ok: true, headers: new Headers({ "X-Holdfast-Demo": "off" }), read: line.read };
  };

  get line(): Line {
    const last = this.lines.at(-1);
    if (!last) throw new Error("no line was opened");
    return last;
  }
}

/** Web Locks as far as one exclusive lock with `signal` and `steal` goes. */
export class FakeLocks {
  private holder: { lose: () => void } | undefined;
  private readonly queue: { grant: () => void; gone: boolean }[] = [];

  request = ((_name: string, options: LockOptions, held: () => Promise<void> | undefined) =>
    new Promise<void>((resolve, reject) => {
      const aborted = () => reject(new DOMException("The request was aborted.", "AbortError"));
      const entry = {
        gone: false,
        grant: () => {
          const mine = { lose: aborted };
          this.holder = mine;
          void Promise.resolve(held()).then(() => {
            resolve();
            if (this.holder === mine) this.next();
          });
        },
      };
      options.signal?.addEventListener("abort", () => {
        entry.gone = true;
        aborted();
      });
      if (options.steal) this.holder?.lose();
      if (options.steal || !this.holder) entry.grant();
      else this.queue.push(entry);
    })) as LockManager["request"];

  private next(): void {
    this.holder = undefined;
    const waiting = this.queue.splice(0).filter((entry) => !entry.gone);
    this.queue.push(...waiting.slice(1));
    waiting[0]?.grant();
  }
}

type Listener = (event: MessageEvent) => void;

/** BroadcastChannel: everyone hears but the one who speaks. */
export class FakeAir {
  private readonly listeners = new Map<object, Listener>();
  /** Tabs that hear and say nothing. */
  readonly frozen = new Set<object>();

  channel(): Pick<BroadcastChannel, "postMessage" | "addEventListener"> {
    const me = {};
    const speak = (message: unknown) => {
      if (this.frozen.has(channel)) return;
      for (const [listener, hear] of this.listeners) {
        if (listener !== me) queueMicrotask(() => hear(new MessageEvent("message", { data: message })));
      }
    };
    const channel = {
      postMessage: speak,
      addEventListener: (_type: string, hear: unknown) => void this.listeners.set(me, hear as Listener),
    };
    return channel as Pick<BroadcastChannel, "postMessage" | "addEventListener">;
  }
}
