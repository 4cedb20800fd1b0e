/**
 * What stands on the device beside the outbox, put together: the worker, the way from build to build, and
 * what was kept for reading offline.
 */
import { effect, untracked } from "@preact/signals";
import type { Clock } from "../core/clock";
import { mintId } from "../core/ids";
import type { Wire } from "../wire/client";
import { askFlags } from "../wire/flags";
import { createHere } from "./here";
import type { Keep } from "./keep";
import { createOfflineCourses } from "./offline-courses";
import type { OutboxState } from "./outbox";
import type { Reads } from "./reads";
import { createScreen } from "./screen";
import { isPlaying, isTyping, keepPlace } from "./screen-place";
import type { SessionKeeper } from "./session";
import { createUpdate, type Message } from "./update";
import { createWorkerSide } from "./worker";

export interface InstalledParts {
  readonly wire: Wire;
  readonly clock: Clock;
  readonly session: SessionKeeper;
  readonly outbox: OutboxState;
  readonly reads: Reads;
  readonly keep: Keep;
  readonly tabKeep: Keep;
  /** The browser; undefined in a test that has none. */
  readonly window: (Window & typeof globalThis) | undefined;
}

const DEVICE_KEY = "holdfast.deviceName";
const CHANNEL = "holdfast-update";
/** A tab nobody has touched for so long is nobody's. */
const UNTOUCHED_MS = 10 * 60_000;
/** A glance at another tab is no leaving. */
const HIDDEN_FOR_MS = 10_000;
const TOUCHES = ["pointerdown", "keydown", "wheel", "touchstart"] as const;

export type Installed = ReturnType<typeof createInstalled>;

export function createInstalled(parts: InstalledParts) {
  const { wire, clock, session, outbox, reads, keep, tabKeep, window } = parts;
  const document = window?.document;
  const build = document?.querySelector<HTMLMetaElement>('meta[name="holdfast-build"]')?.content ?? "";
  const isHidden = () => document?.visibilityState !== "visible";
  const channel = window && "BroadcastChannel" in window ? new window.BroadcastChannel(CHANNEL) : undefined;
  let touchedAtMs = clock.elapsed();

  const screen = createScreen(tabKeep, () => window?.location.pathname ?? "");
  if (window && document) keepPlace(screen, window, document, clock);

  const isUnsent = () => session.isChanging() || (document !== undefined && isTyping(document));
  const update = createUpdate({
    build,
    clock,
    mintId,
    channel,
    tabKeep,
    sending: () => isSendingHere(outbox),
    atRisk: () => outbox.atRisk.peek() > 0 || isUnsent(),
    idle: () =>
      !isUnsent() &&
      !(document && isPlaying(document)) &&
      (isHidden() || clock.elapsed() - touchedAtMs > UNTOUCHED_MS),
    saveScreen: screen.save,
    reload: () => window?.location.reload(),
  });
  if (channel) channel.onmessage = ({ data }: MessageEvent<Message>) => void update.hear(data);

  const worker = createWorkerSide({
    container: window?.navigator.serviceWorker,
    clock,
    build,
    flags: () => askFlags(wire, deviceName(keep)),
    found(next) {
      void update.found(next);
      takeIfUnseen();
    },
    tookOver: (other) => void update.tookOver(other),
    // What was read before it came is read again, through it: then it is here for the next time offline.
    arrived: reads.lookAgainNow,
  });

  const caches = window?.caches;
  const here = createHere(caches);
  const offline = createOfflineCourses({ wire, caches, storage: window?.navigator.storage, clock });

  effect(() => {
    const state = session.state.value;
    untracked(() => void here.follow(state));
  });

  effect(() => {
    const owner = session.owner.value;
    untracked(() => offline.belongTo(owner));
  });

  // Flags are a person's: asked at the start, and anew when somebody signs in.
  effect(() => {
    const settled = session.signedIn.value || session.state.value.phase === "out";
    if (settled) untracked(() => void worker.ask());
  });

  // Work that could not be sent: the browser wakes the worker for it when the network is back, this page
  // open or not. A wait that the server asked for is the page's to keep.
  function askForSync(): boolean {
    const owner = session.owner.peek();
    const lanes = Object.values(outbox.status.peek().lanes);
    const sendable = lanes.some(
      ({ waiting, state }) =>
        waiting > 0 && state.name !== "held" && !(state.name === "waiting" && state.asked),
    );
    if (owner && sendable) void worker.askForSync(owner);
    return sendable;
  }

  const isOffline = () => window?.navigator.onLine === false;
  let asked = false;
  effect(() => {
    const { backlog } = outbox.status.value;
    if (backlog === 0 || !isOffline()) asked = false;
    if (backlog === 0) return;
    untracked(() => {
      if (isOffline() && !asked) asked = askForSync();
      // The first thing that is kept here is the moment to ask the browser to keep it, too.
      void offline.persist();
    });
  });

  for (const touch of TOUCHES) {
    window?.addEventListener(touch, () => (touchedAtMs = clock.elapsed()), { passive: true });
  }
  // Hidden, found while hidden, or heard to its end there: each may be the moment when nobody is disturbed.
  function takeIfUnseen(): void {
    if (isHidden()) clock.after(HIDDEN_FOR_MS, () => void update.whenNobodyLooks());
  }
  document?.addEventListener("pause", takeIfUnseen, true);
  window?.addEventListener("pagehide", update.leave);
  document?.addEventListener("visibilitychange", () => {
    if (!isHidden()) {
      worker.askIfOld();
      return;
    }
    askForSync();
    takeIfUnseen();
  });
  // A page of another build asks for a file that is nowhere any more.
  window?.addEventListener("vite:preloadError", () => void worker.ask());

  return { screen, update, worker, offline };
}

const isSendingHere = ({ status }: OutboxState): boolean => {
  const { sendsHere, lanes } = status.peek();
  return sendsHere && Object.values(lanes).some(({ state }) => state.name === "sending");
};

function deviceName(keep: Keep): string {
  const known = keep.get(DEVICE_KEY);
  if (known !== null) return known;
  const name = mintId();
  keep.set(DEVICE_KEY, name);
  return name;
}
