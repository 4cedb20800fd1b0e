/** The two ways of answering what people read. They know nothing of caches or timers: those are handed in. */
import { KEEP, KEPT } from "../wire/worker-words";
import { confirmed, fromDevice, storedForMs, withHeaders, worthOf } from "./judge";

export interface Parts {
  /** Who asks, as a mark. */
  readonly asker: string;
  readonly now: () => number;
  readonly network: (request: Request) => Promise<Response>;
  /** What lies on the device for this asker and address. */
  readonly held: () => Promise<Response | undefined>;
  /** Whether the answer is on the device now. `pin`: until its person frees it. */
  readonly keep: (answer: Response, pin: boolean) => Promise<boolean>;
  readonly drop: () => Promise<void>;
  /** Resolves after so long. */
  readonly sleep: (ms: number) => Promise<void>;
  /** Work that may go on after the answer is given. */
  readonly later: (work: Promise<unknown>) => void;
}

/** How long a page waits for the server's word when this device has one of its own. */
export const PATIENCE_MS = 4_000;
/** Who administers changes what they list: an old list in place of a slow answer would hide what they just did. */
export const LIST_PATIENCE_MS = 12_000;
/** As long as the server lets a figure count as fresh. */
export const FIGURE_FRESH_MS = 3_600_000;

/** The server's answer, or this device's when that does not come, comes late or is worth nothing. */
export async function serverFirst(
  request: Request,
  parts: Parts,
  patienceMs = PATIENCE_MS,
): Promise<Response> {
  const pin = request.headers.has(KEEP);
  const held = await parts.held();
  // A copy: its body is still whole when the server confirms it after this one was shown.
  const asked = ask(request, held?.clone(), pin, parts);
  if (!held) return (await asked).answer ?? Response.error();
  const late = pin ? new Promise<never>(() => {}) : parts.sleep(patienceMs);
  const said = await Promise.race([asked, late]);
  if (!said) parts.later(asked);
  return said?.good && said.answer ? said.answer : fromDevice(held);
}

/** This device's answer, looked after behind the scenes once it is old; the server's where there is none. */
export async function deviceFirst(request: Request, parts: Parts): Promise<Response> {
  const pin = request.headers.has(KEEP);
  const held = await parts.held();
  if (!held) return (await ask(request, undefined, pin, parts)).answer ?? Response.error();
  if (storedForMs(held, parts.now()) > FIGURE_FRESH_MS) parts.later(ask(request, held.clone(), false, parts));
  if (!pin) return held;
  return withHeaders(held, { [KEPT]: (await parts.keep(held.clone(), true)) ? "yes" : "no" });
}

interface Said {
  readonly answer?: Response;
  /** Whether it goes before what lies here. */
  readonly good: boolean;
}

async function ask(request: Request, held: Response | undefined, pin: boolean, parts: Parts): Promise<Said> {
  let answer: Response;
  try {
    answer = await parts.network(held ? onlyIfChanged(request, held) : request);
  } catch {
    return { good: false };
  }
  const worth = worthOf(answer, parts.asker);
  if (worth === "gone") parts.later(parts.drop());
  if (worth === "same" && held)
    return { good: true, answer: await keep(confirmed(held, answer), pin, parts) };
  if (worth === "fresh") return { good: true, answer: await keep(answer, pin, parts) };
  return { good: worth === "gone" || worth === "final", answer };
}

/** Someone who chose to keep it is told whether it is kept; a reader need not wait for the storing. */
async function keep(answer: Response, pin: boolean, parts: Parts): Promise<Response> {
  const keeping = parts.keep(answer.clone(), pin);
  if (pin) return withHeaders(answer, { [KEPT]: (await keeping) ? "yes" : "no" });
  parts.later(keeping);
  return answer;
}

function onlyIfChanged(request: Request, held: Response): Request {
  const tag = held.headers.get("ETag");
  if (tag === null) return request;
  const headers = new Headers(request.headers);
  headers.set("If-None-Match", tag);
  // A figure is asked for by the page's own markup, in a mode that no script may copy.
  return new Request(request.url, {
    headers,
    credentials: "same-origin",
    redirect: request.redirect,
    signal: request.signal,
  });
}
