/**
 * The runtime status: what every tab of this browser, and its service worker, knows of the service. One tab
 * asks the server (`leader.ts`, `ladder.ts`) and tells the others on `BroadcastChannel("runtime-status")`,
 * where the worker's own news pass too.
 */
import type { Clock } from "../core/clock";
import type { Answer, Wire } from "../wire/client";
import type { Health } from "../wire/shapes";
import type { ToPage } from "../wire/worker-words";
import { climb, type Ladder, type Service } from "./ladder";
import { type Leadership, standForLeader } from "./leader";

type Message =
  | { type: "status"; service: Service }
  /** A tab has just opened: how do things stand? */
  | { type: "hello" }
  /** Somebody wants to know now; `audience`: for whom, where a tab knows who is signed in. */
  | { type: "ask"; audience: string | undefined }
  /** What the service worker tells; relayed as it came. */
  | ToPage;

export interface RuntimeParts {
  wire: Pick<Wire, "open">;
  poll: () => Promise<Answer<Health>>;
  clock: Clock;
  random: () => number;
  online: () => boolean;
  visible: () => boolean;
  /** Absent in old browsers, or denied: then every tab asks for itself, and none holds a stream. */
  locks: Pick<LockManager, "request"> | undefined;
  channel: Pick<BroadcastChannel, "postMessage" | "addEventListener"> | undefined;
  changed: (service: Service) => void;
  worker: (news: ToPage) => void;
}

export interface Runtime {
  /**
   * Asks now, in whichever tab asks. `audience`: who is signed in, as any text; for another than before the
   * server is asked anew, and of what it told only that is kept which it tells anybody.
   */
  ask(audience?: string): void;
  /** For `freeze` and `pagehide`. */
  rest(): void;
  /** For `resume` and `pageshow`. */
  wake(): void;
}

const UNASKED: Service = { reach: "asking", via: "none" };

function forAnybody({ health, ...service }: Service): Service {
  if (health === undefined) return service;
  const { status, demo } = health;
  return { ...service, health: { status, ...(demo !== undefined && { demo }) } };
}

export function startRuntime(parts: RuntimeParts): Runtime {
  const { channel, locks, changed } = parts;
  let service = UNASKED;
  let heardFor: string | undefined;
  let ladder: Ladder | undefined;
  let leadership: Leadership | undefined;
  let streams = locks !== undefined && channel !== undefined;

  const tell = (message: Message) => channel?.postMessage(message);

  function learn(news: Service): void {
    service = news;
    changed(service);
  }

  function spread(news: Service): void {
    learn(news);
    tell({ type: "status", service });
  }

  function lead(): void {
    ladder = climb(
      {
        ...parts,
        streams,
        changed: spread,
      },
      service,
    );
  }

  function leave(): void {
    ladder?.stop();
    ladder = undefined;
  }

  function ask(audience: string | undefined): void {
    const another = audience !== undefined && audience !== heardFor;
    if (another) heardFor = audience;
    if (!ladder) {
      tell({ type: "ask", audience });
    } else if (another) {
      leave();
      spread(forAnybody(service));
      lead();
    } else {
      ladder.askNow();
    }
  }

  channel?.addEventListener("message", (event: MessageEvent) => {
    const message = event.data as Message;
    switch (message?.type) {
      case "status":
        leadership?.heard();
        if (!ladder) learn(message.service);
        break;
      case "hello":
        if (ladder) tell({ type: "status", service });
        break;
      case "ask":
        if (ladder) ask(message.audience);
        break;
      case "CACHE_UPDATED":
      case "SYNC_COMPLETE":
        parts.worker(message);
    }
  });

  if (locks && channel) {
    leadership = standForLeader({
      locks,
      clock: parts.clock,
      visible: parts.visible,
      lead,
      follow: leave,
      beat: () => tell({ type: "status", service }),
      denied() {
        leadership = undefined;
        streams = false;
        lead();
      },
    });
    tell({ type: "hello" });
  } else {
    lead();
  }

  return {
    ask: (audience) => ask(audience),
    rest: () => leadership?.resign(),
    wake: () => leadership?.stand(),
  };
}
