/** For tests: a portal's server, as far as an outbox sees it, whose behaviour a test can change. */
import { mintId } from "../core/ids";
import type { Principal } from "./entry";
import { openOutbox } from "./index";
import type { Parts } from "./parts";
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
export type Behaviour = (request: Request) => Response | Promise<Response> | undefined;

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
      this.take(body, body.deviceId, body.generation);
      return json({ assigned: body.userIds.length, already: 0, refused: [] }, 200);
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

export const open = (server: FakeServer, parts: Partial<Parts> = {}): Promise<Outbox> =>
  openOutbox({
    principal: ADA,
    fetch: server.fetch,
    mintId,
    random: () => 0,
    indexedDB: null,
    locks: null,
    channel: null,
    ...parts,
  });
