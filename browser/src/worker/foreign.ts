/**
 * Events that an embedded page or an old one sends by itself. They are passed on; when the server can't be
 * reached they go into the outbox, and their sender hears that they are on this device.
 */
import type { Whose } from "../wire/worker-words";

export interface Draft {
  readonly id: string;
  readonly kind: string;
  readonly payload: string;
  /** When it happened, where its sender said so; RFC 3339 UTC. */
  readonly createdAt?: string | undefined;
}

export interface Parts {
  readonly network: (request: Request) => Promise<Response>;
  /** Whose events these are; undefined where nobody is known to be here. */
  readonly whose: () => Promise<Whose | undefined>;
  /** Puts drafts into the outbox; the answer names those that are on the device. */
  readonly keep: (whose: Whose, drafts: readonly Draft[]) => Promise<ReadonlySet<string>>;
}

/** A line that hangs: the same id can be sent again at no risk. */
const DEADLINE_MS = 20_000;

export async function passOn(request: Request, parts: Parts): Promise<Response> {
  const copy = request.clone();
  try {
    return await Promise.race([parts.network(request), tooLate()]);
  } catch {
    return (await keepInstead(await copy.text(), parts).catch(() => undefined)) ?? Response.error();
  }
}

const tooLate = () =>
  new Promise<never>((_, reject) => setTimeout(() => reject(new Error("no answer")), DEADLINE_MS));

async function keepInstead(text: string, parts: Parts): Promise<Response | undefined> {
  const events = eventsIn(text);
  const whose = await parts.whose();
  if (!events || !whose) return undefined;
  const drafts = events.filter((event) => (event.orgId ?? whose.orgId) === whose.orgId).map(draftOf);
  const kept = await parts.keep(whose, drafts);
  // Nothing was kept: then nothing is said to be, and the sender sees the failure that it is.
  if (kept.size === 0) return undefined;
  return new Response(
    JSON.stringify({ receipts: events.map(({ id }) => receipt(id, kept.has(id))), slowDownMs: 0 }),
    {
      status: 202,
      headers: { "Content-Type": "application/json" },
    },
  );
}

function receipt(id: string, kept: boolean): object {
  return kept
    ? { id, status: "later", code: "on_device", reason: "kept on this device, and sent from here" }
    : { id, status: "later", code: "not_kept", reason: "could not be kept on this device: send it again" };
}

interface ForeignEvent {
  readonly id: string;
  readonly kind: string;
  readonly orgId?: string;
  readonly occurredAt?: unknown;
  readonly body: object;
}

/** Written again from what was read: for what a script wrote these are the same bytes. */
const draftOf = ({ id, kind, body, occurredAt }: ForeignEvent): Draft => ({
  id,
  kind,
  payload: JSON.stringify(body),
  createdAt: timeIn(occurredAt),
});

/** RFC 3339: a time without its offset is a different moment on each device. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

/** undefined for what is no time, or has not come yet: then it happened when it is kept. */
function timeIn(said: unknown): string | undefined {
  const ms = typeof said === "string" && TIME.test(said) ? Date.parse(said) : Number.NaN;
  return ms <= Date.now() ? new Date(ms).toISOString() : undefined;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** undefined unless every event could be understood: half a batch must not look like all of it. */
function eventsIn(text: string): ForeignEvent[] | undefined {
  try {
    const said = JSON.parse(text);
    const events: unknown[] = Array.isArray(said.events) ? said.events : [said];
    return events.length > 0 && events.every(isEvent) ? events : undefined;
  } catch {
    return undefined;
  }
}

function isEvent(value: unknown): value is ForeignEvent {
  const event = value as Partial<ForeignEvent> | null;
  return (
    typeof event?.id === "string" &&
    UUID.test(event.id) &&
    typeof event.kind === "string" &&
    typeof event.body === "object" &&
    event.body !== null
  );
}
