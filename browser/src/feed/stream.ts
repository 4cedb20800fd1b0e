/**
 * One connection to the stream of health: opened, read, and told how it ended. It never tries again;
 * that is the ladder's business. Snapshots and patches become one document, and a patch that does not
 * fit what we hold ends the stream, because a document with a hole in it would lie.
 */
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { Clock } from "../core/clock";
import type { Problem } from "../core/problem";
import { believeHealth } from "../wire/believe";
import type { Wire } from "../wire/client";
import type { Health } from "../wire/shapes";
import { isFields, merged } from "./merge";

/** No byte for so long means that nobody is there, or that somebody in between holds the bytes back. */
export const SILENCE_MS = 35_000;

const STREAM_PATH = "/api/health/stream";

export type Ending =
  /** The server said when to come back. */
  | { why: "bye"; retryMs: number }
  /** The line broke or was closed without a word. */
  | { why: "broken" }
  | { why: "silent" }
  /** A patch is missing: come back at once, for a snapshot. */
  | { why: "gap" }
  | { why: "refused"; problem: Problem }
  | { why: "stopped" };

/** Where a stream left off: the document and its id. The next connection goes on from there. */
export interface Place {
  document: unknown;
  id: string;
}

export interface StreamParts {
  wire: Pick<Wire, "open">;
  clock: Clock;
  /** Bytes came, whatever they say: the server is there. */
  alive: () => void;
  heard: (health: Health) => void;
}

export interface Following {
  ended: Promise<Ending>;
  stop: () => void;
  /** Where it stands now; undefined before the first snapshot. */
  place: () => Place | undefined;
}

export function follow({ wire, clock, alive, heard }: StreamParts, from?: Place): Following {
  const line = new AbortController();
  let place = from;
  let headers = new Headers();
  let retryMs: number | undefined;
  let ending: Ending | undefined;
  let cancelSilence = () => {};

  function end(how: Ending): void {
    ending ??= how;
    cancelSilence();
    line.abort();
  }

  function listen(): void {
    cancelSilence();
    cancelSilence = clock.after(SILENCE_MS, () => end({ why: "silent" }));
  }

  const parser = createParser({
    onEvent: (message) => take(message),
    onRetry: (ms) => {
      retryMs = ms;
    },
  });

  function take({ event, id, data }: EventSourceMessage): void {
    if (ending) return;
    if (event === "bye") {
      // Who listens may hear another document now: its numbers are not those of ours.
      if (reasonOf(jsonOf(data)) === "session") place = undefined;
      end({ why: "bye", retryMs: retryMs ?? 0 });
    }
    // A beat with another number than ours: something was lost on the way.
    if (event === "beat" && seqOf(jsonOf(data)) !== seqOf(place?.document)) end({ why: "gap" });
    if (event !== "snapshot" && event !== "patch") return;
    const said = jsonOf(data);
    const document = event === "snapshot" ? said : patched(place?.document, said);
    const health = believeHealth(document, headers);
    if (health === undefined || id === undefined) {
      end({ why: "gap" });
    } else {
      place = { document, id };
      heard(health);
    }
  }

  async function run(): Promise<Ending> {
    listen();
    const opened = await wire.open(STREAM_PATH, place ? { "Last-Event-ID": place.id } : {}, line);
    if (!opened.ok) {
      end({ why: "refused", problem: opened.problem });
    } else {
      headers = opened.headers;
      await read(opened.read);
      end(retryMs === undefined ? { why: "broken" } : { why: "bye", retryMs });
    }
    return ending ?? { why: "broken" };
  }

  async function read(next: () => Promise<string | undefined>): Promise<void> {
    try {
      for (let text = await next(); text !== undefined && !ending; text = await next()) {
        listen();
        alive();
        parser.feed(text);
      }
    } catch {
      // The line broke; had we ended it ourselves, the ending is known already.
      end({ why: "broken" });
    }
  }

  return {
    ended: run(),
    stop: () => end({ why: "stopped" }),
    place: () => (ending?.why === "gap" ? undefined : place),
  };
}

const reasonOf = (said: unknown): unknown => (isFields(said) ? said.reason : undefined);
const seqOf = (said: unknown): unknown => (isFields(said) ? said.seq : undefined);

/** The document a patch makes of ours; undefined where the patch belongs to another one. */
function patched(document: unknown, said: unknown): unknown {
  if (!isFields(document) || !isFields(said) || document.seq !== said.base) return undefined;
  return merged(document, said.patch);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
