/**
 * The ladder of ways to know how the service is: the stream; where the stream is silent or withheld, asking
 * every 15 s; where nothing answers, saying so. Only one tab of a browser stands on it (see `leader.ts`).
 *
 * Polling starts on silence, not on errors: a proxy that holds a stream back raises none.
 */
import type { Clock } from "../core/clock";
import type { Problem } from "../core/problem";
import type { Answer, Wire } from "../wire/client";
import type { Health } from "../wire/shapes";
import { type Ending, type Following, follow, type Place } from "./stream";

export type Reach =
  | "asking"
  | "reached"
  /** Nothing was heard for a while, and nothing has failed yet. */
  | "silent"
  | "ourService"
  | "yourNetwork"
  | "inBetween";

/** What is known of the service, and since when. */
export interface Service {
  readonly reach: Reach;
  /** The last word of the server, also while it cannot be reached. */
  readonly health?: Health;
  /** When the server was last heard, by the device's clock, ms. */
  readonly confirmedAtMs?: number;
  /** Which rung we stand on. */
  readonly via: "stream" | "poll" | "none";
}

export const POLL_EVERY_MS = 15_000;
const STEADY_MS = 60_000;
const LONGEST_RECONNECT_MS = 30_000;
/** After so many failures a stream counts as withheld, where the server answers otherwise. */
const TRIED_SOON = 3;
/** A stream that is withheld is tried again seldom: each try costs one of the browser's six connections. */
const FIRST_WITHHELD_MS = 2 * 60_000;
const LONGEST_WITHHELD_MS = 10 * 60_000;

export interface LadderParts {
  wire: Pick<Wire, "open">;
  poll: () => Promise<Answer<Health>>;
  clock: Clock;
  random: () => number;
  /** The browser's opinion: false is sure, true is a hope. */
  online: () => boolean;
  /** Without it only polls: tabs that can't agree on one of them must not each hold a connection. */
  streams: boolean;
  changed: (service: Service) => void;
}

export interface Ladder {
  /** Asks now, and tries the stream again if it is not there: the network changed, or somebody looks. */
  askNow(): void;
  stop(): void;
}

export function climb(parts: LadderParts, start: Service): Ladder {
  const { wire, poll, clock, random, online, streams, changed } = parts;
  let service = start;
  let stopped = false;
  let stream: Following | undefined;
  let place: Place | undefined;
  let streamHeard = false;
  let failures = 0;
  let withheldMs = 0;
  let asking = false;
  let cancelPoll = () => {};
  let cancelAttempt = () => {};

  function show(change: Partial<Service>): void {
    if (stopped) return;
    service = { ...service, ...change };
    changed(service);
  }

  const reached = (via: Service["via"], health?: Health) =>
    show({ reach: "reached", confirmedAtMs: clock.now(), via, ...(health && { health }) });

  const spread = (ms: number) => ms * (0.8 + 0.4 * random());

  // Polling

  async function ask(): Promise<void> {
    cancelPoll();
    if (asking || stopped) return;
    asking = true;
    const answer = await poll();
    asking = false;
    if (stopped) return;
    if (answer.ok) reached(streamHeard ? "stream" : "poll", answer.value);
    else if (!streamHeard) show({ reach: reachAfter(answer.problem, online()), via: "none" });
    // While the stream speaks nobody asks.
    if (!streamHeard) cancelPoll = clock.after(spread(POLL_EVERY_MS), () => void ask());
  }

  // The stream

  function attempt(): void {
    cancelAttempt();
    if (stream || stopped || !streams) return;
    const openedMs = clock.elapsed();
    const mine = follow(
      {
        wire,
        clock,
        alive() {
          streamHeard = true;
          reached("stream");
        },
        heard: (health) => reached("stream", health),
      },
      place,
    );
    stream = mine;
    void mine.ended.then((ending) => {
      stream = undefined;
      place = mine.place();
      if (stopped) return;
      if (streamHeard && clock.elapsed() - openedMs > STEADY_MS) failures = withheldMs = 0;
      after(ending);
    });
  }

  function after(ending: Ending): void {
    streamHeard = false;
    if (ending.why === "bye") {
      cancelAttempt = clock.after(ending.retryMs, attempt);
      return;
    }
    // Nothing has failed by silence alone: grey, until an answer or its absence says more. A stream that
    // was withheld from its start takes nothing away from what polling has found out.
    if (ending.why === "silent" && service.via === "stream") show({ reach: "silent", via: "none" });
    const waitMs = nextWaitMs(ending);
    // The line broke: the next attempt tells, where it comes soon. All else is for the other way of asking to
    // judge, or a proxy that blocks streams only would look like our service being out.
    if (ending.why === "silent" || ending.why === "refused" || failures > TRIED_SOON) void ask();
    cancelAttempt = clock.after(waitMs, attempt);
  }

  function nextWaitMs({ why }: Ending): number {
    failures += 1;
    if (why === "gap" && failures === 1) return 0;
    const withheld = why === "silent" || (failures > TRIED_SOON && service.reach === "reached");
    return withheld ? spread(withhold()) : backoff();
  }

  function withhold(): number {
    withheldMs = Math.min(LONGEST_WITHHELD_MS, withheldMs === 0 ? FIRST_WITHHELD_MS : withheldMs * 2);
    return withheldMs;
  }

  /** Full jitter from 1 s, so that a school's browsers do not return in one second. */
  function backoff(): number {
    const ceilingMs = Math.min(LONGEST_RECONNECT_MS, 1_000 * 2 ** Math.min(failures, 6));
    return 1_000 + random() * (ceilingMs - 1_000);
  }

  void ask();
  attempt();

  return {
    askNow() {
      void ask();
      attempt();
    },
    stop() {
      stopped = true;
      cancelPoll();
      cancelAttempt();
      stream?.stop();
    },
  };
}

export function reachAfter(problem: Problem, online: boolean): Reach {
  if (!online) return "yourNetwork";
  return problem.family === "garbled" ? "inBetween" : "ourService";
}
