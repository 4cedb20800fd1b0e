/**
 * The page's side of its service worker: which of the two it gets, what happens when that fails, and when
 * another build waits. Without any worker everything but reading offline works as ever.
 */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Clock } from "../core/clock";
import type { Answer } from "../wire/client";
import type { Flags } from "../wire/flags";
import { type ToWorker, tagOf, type Whose } from "../wire/worker-words";
import type { NextBuild } from "./update";

/** "reading": answers what a learner reads, and sends. "static": keeps the page's files only. */
export type WorkerKind = "none" | "static" | "reading";

export interface WorkerParts {
  /** The browser's; undefined where it has none, or the address is not secure. */
  readonly container: ServiceWorkerContainer | undefined;
  readonly clock: Clock;
  readonly build: string;
  readonly flags: () => Promise<Answer<Flags>>;
  /** Another build can take over, or is there for the asking. */
  readonly found: (next: NextBuild) => void;
  /** Another build's worker answers this tab now. */
  readonly tookOver: (build: string) => void;
  /** A worker answers this tab, and none did before. */
  readonly arrived: () => void;
}

const SCRIPTS = { reading: "/sw.js", static: "/sw-static.js" } as const;
const ASK_EVERY_MS = 30 * 60_000;
/** Not at each glance. */
const ASK_AGAIN_AFTER_MS = 5 * 60_000;
/** A worker that is just starting on a busy device takes its time. */
const BUILD_WITHIN_MS = 10_000;

export type WorkerSide = ReturnType<typeof createWorkerSide>;

export function createWorkerSide(parts: WorkerParts) {
  const { container, clock } = parts;
  const kind = signal<WorkerKind>(kindOf(container?.controller));
  const watched = new WeakSet<ServiceWorkerRegistration>();
  let wanted: keyof typeof SCRIPTS | undefined;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  let cancelNext = () => {};
  let hadOne = container?.controller != null;

  container?.addEventListener("controllerchange", () => void changed());
  void container?.getRegistration().then((known) => known && watch(known));

  async function changed(): Promise<void> {
    const now = container?.controller;
    kind.value = kindOf(now);
    const first = !hadOne;
    hadOne = now != null;
    if (!now) return;
    if (first) parts.arrived();
    const build = await buildOf(now);
    if (build !== undefined && build !== parts.build) parts.tookOver(build);
  }

  /** Asks the server what this device is to have, and sees to it. */
  async function ask(): Promise<void> {
    askedAtMs = clock.elapsed();
    cancelNext();
    cancelNext = clock.after(ASK_EVERY_MS, () => void ask());
    const answer = await parts.flags();
    if (!answer.ok) {
      cancelNext();
      cancelNext = clock.after(ASK_AGAIN_AFTER_MS, () => void ask());
      return;
    }
    const { newWorker, build } = answer.value;
    const registration = await register(newWorker ? "reading" : "static");
    const isNew = build !== undefined && parts.build !== "" && build !== parts.build;
    if (!isNew) return;
    if (registration) await registration.update().catch(() => {});
    else parts.found({ build });
  }

  async function register(which: keyof typeof SCRIPTS): Promise<ServiceWorkerRegistration | undefined> {
    if (!container) return undefined;
    wanted = which;
    try {
      const registration = await container.register(SCRIPTS[which], { scope: "/", updateViaCache: "none" });
      watch(registration);
      return registration;
    } catch {
      return fallBack();
    }
  }

  /** The static worker in the new one's place, unless an earlier build of the new one is at work. */
  async function fallBack(): Promise<ServiceWorkerRegistration | undefined> {
    const known = await container?.getRegistration().catch(() => undefined);
    if (known) watch(known);
    if (wanted !== "reading" || kindOf(known?.active) === "reading") return known;
    return register("static");
  }

  function watch(registration: ServiceWorkerRegistration): void {
    if (registration.active && !container?.controller) void askFor(registration.active);
    if (watched.has(registration)) return;
    watched.add(registration);
    if (registration.waiting) void offer(registration.waiting);
    if (registration.installing) follow(registration.installing);
    registration.addEventListener("updatefound", () => {
      if (registration.installing) follow(registration.installing);
    });
  }

  /**
   * A page that was asked for before the worker was there, and came after it had claimed its pages, would have
   * none until it is loaded anew. Another build's would have the page reloaded: that is the person's to say.
   */
  async function askFor(worker: ServiceWorker): Promise<void> {
    if ((await buildOf(worker)) === parts.build && !container?.controller) say(worker, { type: "CLAIM" });
  }

  function follow(worker: ServiceWorker): void {
    let installed = false;
    worker.addEventListener("statechange", () => {
      if (worker.state === "installed") {
        installed = true;
        // A page without any worker has no other build to part from: the first one takes over by itself.
        if (container?.controller) void offer(worker);
      } else if (worker.state === "redundant" && !installed && kindOf(worker) === "reading") {
        void fallBack();
      }
    });
  }

  async function offer(worker: ServiceWorker): Promise<void> {
    const build = await buildOf(worker);
    if (build === undefined || worker.state !== "installed") return;
    parts.found({ build, takeOver: () => say(worker, { type: "SKIP_WAITING" }) });
  }

  /** undefined from a worker that does not answer. */
  function buildOf(worker: ServiceWorker): Promise<string | undefined> {
    return new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      const end = (build: unknown) => {
        port1.close();
        resolve(typeof build === "string" ? build : undefined);
      };
      port1.onmessage = ({ data }) => end(data);
      clock.after(BUILD_WITHIN_MS, () => end(undefined));
      say(worker, { type: "build" }, [port2]);
    });
  }

  return {
    kind: kind as ReadonlySignal<WorkerKind>,
    ask,

    /** Asks again when that is a while ago: for a page that is seen again. */
    askIfOld(): void {
      if (clock.elapsed() - askedAtMs > ASK_AGAIN_AFTER_MS) void ask();
    },

    /** Has the browser wake the worker when the network is back; for entries that could not be sent. */
    async askForSync(whose: Whose): Promise<void> {
      if (kind.peek() !== "reading") return;
      try {
        const registration = (await container?.getRegistration()) as Partial<Syncing> | undefined;
        await registration?.sync?.register(tagOf(whose));
      } catch {
        // Not granted, or unknown to this browser: the page sends by itself, as it does anyway.
      }
    },
  };
}

/** The Background Sync API, which TypeScript does not know. */
interface Syncing {
  readonly sync: { register(tag: string): Promise<void> };
}

const say = (worker: ServiceWorker, message: ToWorker, ports: Transferable[] = []): void =>
  worker.postMessage(message, ports);

function kindOf(worker: ServiceWorker | null | undefined): WorkerKind {
  if (!worker) return "none";
  return new URL(worker.scriptURL).pathname === SCRIPTS.reading ? "reading" : "static";
}
