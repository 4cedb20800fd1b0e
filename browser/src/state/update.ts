/**
 * From one build to the next without taking anything from anybody: a person says yes (or nobody looks),
 * every tab takes its screen down, nothing is under way, then the new worker takes over and each tab
 * reloads, once for each build.
 */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Clock } from "../core/clock";
import type { Keep } from "./keep";

export type UpdateState =
  | { readonly name: "none" }
  /** Another build is there. */
  | { readonly name: "ready"; readonly build: string }
  /** `waits`: for what only this page has, or what is being sent. */
  | { readonly name: "updating"; readonly build: string; readonly waits: boolean };

/** A build that can take over now. */
export interface NextBuild {
  readonly build: string;
  /** Lets its worker take over; absent where no worker stands between, so that a reload is enough. */
  readonly takeOver?: () => void;
}

export type Message =
  /** How are you all? `round` names the question. */
  | { readonly type: "call"; readonly round: string; readonly prepare: boolean }
  | {
      readonly type: "here";
      readonly round: string;
      readonly tab: string;
      readonly idle: boolean;
      readonly build: string;
    }
  /** Its screen is taken down, and nothing of it is under way. */
  | { readonly type: "ready"; readonly round: string; readonly tab: string }
  | { readonly type: "gone"; readonly tab: string }
  | { readonly type: "reload"; readonly build: string };

export interface UpdateParts {
  /** This page's own build; empty where it has no name, as in development. */
  readonly build: string;
  readonly clock: Clock;
  readonly mintId: () => string;
  readonly channel: { postMessage(message: Message): void } | undefined;
  readonly tabKeep: Keep;
  /** Something is on its way to the server from this tab. */
  readonly sending: () => boolean;
  /** Something is in this page only: a reload would lose it. */
  readonly atRisk: () => boolean;
  /** Nobody looks at this tab, or has touched it for long. */
  readonly idle: () => boolean;
  readonly saveScreen: () => void;
  readonly reload: () => void;
}

const RELOADED_KEY = "holdfast.reloadedFor";
/** How long other tabs have to say that they are there; one that is frozen says nothing. */
const CALL_MS = 600;
/** A request ends within 20 s; a tab that is still sending after this is draining a large outbox. */
const LONGEST_SEND_MS = 30_000;
/** A tab that said it is there and then nothing more. */
const LONGEST_VOTE_MS = 40_000;
/** A worker that has not taken over by then will not. */
const TAKEOVER_MS = 15_000;
const LOOK_EVERY_MS = 100;

export type Update = ReturnType<typeof createUpdate>;

export function createUpdate(parts: UpdateParts) {
  const { clock, channel, tabKeep } = parts;
  const tab = parts.mintId();
  const state = signal<UpdateState>({ name: "none" });
  let next: NextBuild | undefined;
  let putOff = "";
  let reloading = false;

  /** Who answered which question. */
  let round = "";
  let here = new Map<string, { idle: boolean; build: string }>();
  let ready = new Set<string>();

  const sleep = (ms: number) => new Promise<void>((resolve) => void clock.after(ms, resolve));
  const tell = (message: Message) => channel?.postMessage(message);

  /** Another build waits: shown, unless every open tab is that build already. */
  async function found(build: NextBuild): Promise<void> {
    next = build;
    if (build.build !== parts.build) {
      if (build.build !== putOff && state.peek().name !== "updating") {
        state.value = { name: "ready", build: build.build };
      }
      return;
    }
    await call(false);
    const others = [...here.values()].filter((other) => other.build !== build.build);
    if (others.length === 0 && next === build) build.takeOver?.();
  }

  async function call(prepare: boolean): Promise<void> {
    round = parts.mintId();
    here = new Map();
    ready = new Set();
    tell({ type: "call", round, prepare });
    await sleep(CALL_MS);
  }

  async function accept(): Promise<void> {
    const build = next;
    if (!build || state.peek().name === "updating") return;
    state.value = { name: "updating", build: build.build, waits: busy() };
    const called = call(true);
    await calm(build.build);
    await called;
    const untilMs = clock.elapsed() + LONGEST_VOTE_MS;
    while ([...here.keys()].some((other) => !ready.has(other)) && clock.elapsed() < untilMs) {
      await sleep(LOOK_EVERY_MS);
    }
    if (!build.takeOver) {
      tell({ type: "reload", build: build.build });
      await reloadFor(build.build);
      return;
    }
    build.takeOver();
    await sleep(TAKEOVER_MS);
    if (!reloading) state.value = { name: "ready", build: build.build };
  }

  const busy = () => parts.atRisk() || parts.sending();

  /** Waits while this tab sends, and for as long as something is in this page only. */
  async function calm(build: string): Promise<void> {
    const untilMs = clock.elapsed() + LONGEST_SEND_MS;
    while (parts.atRisk() || (parts.sending() && clock.elapsed() < untilMs)) {
      if (state.peek().name === "updating") state.value = { name: "updating", build, waits: true };
      await sleep(LOOK_EVERY_MS);
    }
  }

  /** Once for each build: a reload that changed nothing is not tried again. */
  async function reloadFor(build: string): Promise<void> {
    if (reloading || build === parts.build || tabKeep.get(RELOADED_KEY) === build) {
      if (!reloading) state.value = { name: "none" };
      return;
    }
    reloading = true;
    state.value = { name: "updating", build, waits: busy() };
    await calm(build);
    parts.saveScreen();
    tabKeep.set(RELOADED_KEY, build);
    parts.reload();
  }

  async function hear(message: Message): Promise<void> {
    switch (message.type) {
      case "call":
        tell({ type: "here", round: message.round, tab, idle: parts.idle(), build: parts.build });
        if (!message.prepare) return;
        await calm("");
        parts.saveScreen();
        tell({ type: "ready", round: message.round, tab });
        return;
      case "here":
        if (message.round === round) here.set(message.tab, message);
        return;
      case "ready":
        if (message.round === round) ready.add(message.tab);
        return;
      case "gone":
        here.delete(message.tab);
        return;
      case "reload":
        await reloadFor(message.build);
    }
  }

  return {
    state: state as ReadonlySignal<UpdateState>,
    found,
    accept,
    hear,
    /** The worker that answers this tab is another now. */
    tookOver: reloadFor,

    /** Not now. Asked again for the next build, or when nobody looks. */
    later(): void {
      putOff = next?.build ?? "";
      if (state.peek().name === "ready") state.value = { name: "none" };
    },

    /** Nobody looks at this tab any more: if nobody looks at any, this is the moment. */
    async whenNobodyLooks(): Promise<void> {
      if (!next || next.build === parts.build || !parts.idle() || state.peek().name === "updating") return;
      await call(false);
      if (parts.idle() && [...here.values()].every(({ idle }) => idle)) await accept();
    },

    leave: (): void => tell({ type: "gone", tab }),
  };
}
