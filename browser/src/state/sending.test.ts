import { signal } from "@preact/signals";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { crc32 } from "../core/crc32";
import { idMinter } from "../core/ids";
import { createCalls } from "../wire/calls";
import { createWire } from "../wire/client";
import type { Receipt } from "../wire/shapes";
import { openDevice } from "./device";
import { type Draft, type Entry, isUnsaved } from "./entries";
import { keepIn } from "./keep";
import { createSending } from "./sending";
import type { Owner } from "./session";

const ADA: Owner = { userId: "ada", orgId: "tidewater" };
const CAL: Owner = { userId: "cal", orgId: "tidewater" };

interface SentEvent {
  id: string;
  kind: string;
  seq: number;
  orgId: string;
  checksum: string;
  body: unknown;
}
interface Request {
  path: string;
  events: SentEvent[];
  text: string;
  headers: Headers;
}
type Server = (request: Request) => Response | Promise<Response>;

const json = (value: unknown, status = 202, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(value), {
    status,
    headers: { "Content-Type": "application/json", ...headers },
  });
const problem = (status: number, code: string, headers: Record<string, string> = {}) =>
  json({ code, title: code, status, detail: `Refused: ${code}.` }, status, {
    "Content-Type": "application/problem+json",
    ...headers,
  });
const receipts = (events: SentEvent[], status: Receipt["status"], more: Partial<Receipt> = {}) =>
  json({ receipts: events.map(({ id }) => ({ id, status, ...more })), device: null, slowDownMs: 0 });
const takesAll: Server = ({ events }) => receipts(events, "accepted");
const networkDown: Server = () => Promise.reject(new TypeError("Failed to fetch"));

/** A page with its sending, a person signed in, and a server whose behaviour a test can change. */
function openPage(firstServer: Server = takesAll) {
  const page = {
    server: firstServer,
    requests: [] as Request[],
    owner: signal<Owner | undefined>(ADA),
    signedIn: signal(true),
    cookieOf: ADA as Owner | undefined,
    expire: vi.fn(() => {
      page.signedIn.value = false;
    }),
    ask: vi.fn(async () => {}),
    onSaved: vi.fn(),
  };
  const fetch = (async (path: string, init: RequestInit) => {
    const text = String(init.body);
    const request = { path, text, events: JSON.parse(text).events, headers: new Headers(init.headers) };
    page.requests.push(request);
    return page.server(request);
  }) as typeof globalThis.fetch;
  const memory = new Map<string, string>();
  const storage = {
    getItem: (key: string) => memory.get(key) ?? null,
    setItem: (key: string, value: string) => void memory.set(key, value),
  } as unknown as Storage;
  const sending = createSending({
    calls: createCalls(createWire({ fetch, clock: systemClock, csrfToken: () => "token" })),
    session: {
      owner: page.owner,
      signedIn: page.signedIn,
      stillCurrent: (who) => page.cookieOf === undefined || page.cookieOf.userId === who.userId,
      expire: page.expire,
      ask: page.ask,
    },
    device: openDevice(
      keepIn(() => storage),
      () => "device-1",
    ),
    clock: systemClock,
    mintId: idMinter(),
    random: () => 0,
    onSaved: page.onSaved,
  });
  const entry = (id: string): Entry => {
    const found = sending.entries.value.find((one) => one.id === id);
    if (!found) throw new Error(`no entry ${id}`);
    return found;
  };
  return Object.assign(page, { sending, entry, stateOf: (id: string) => entry(id).state });
}

const completed = (lessonId: string): Draft => ({
  kind: "lesson.completed",
  body: { courseId: "course", lessonId },
  says: `“${lessonId}” complete`,
});
const settle = () => vi.advanceTimersByTimeAsync(0);
const idsIn = (request: Request | undefined) => request?.events.map(({ id }) => id);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("an event that is added", () => {
  it("is sent at once, and is saved only when a receipt has named it", async () => {
    let answer: (response: Response) => void = () => {};
    const page = openPage(() => new Promise((resolve) => (answer = resolve)));
    const id = page.sending.add(completed("one"));
    expect(page.requests).toHaveLength(1);
    expect(page.stateOf(id)).toEqual({ name: "sending" });
    answer(receipts([{ id } as SentEvent], "accepted"));
    await settle();
    expect(page.stateOf(id)).toEqual({ name: "saved" });
    expect(page.onSaved).toHaveBeenCalledOnce();
  });

  it("goes out with its org, its number, and a checksum over its body's exact bytes", async () => {
    const page = openPage();
    page.sending.add(completed("one"));
    page.sending.add({ ...completed("two") });
    await settle();
    const [first, second] = page.requests.flatMap(({ events }) => events);
    expect(page.requests[0]?.path).toBe("/api/client/progress/batch");
    expect(first).toMatchObject({ kind: "lesson.completed", orgId: "tidewater", seq: 1 });
    expect(second?.seq).toBe(2);
    expect(first?.checksum).toBe(crc32(JSON.stringify(first?.body)));
    expect(page.requests[0]?.text).toContain(`"body":${JSON.stringify(first?.body)}`);
  });

  it("is saved as well when the server already had it", async () => {
    const page = openPage(({ events }) => receipts(events, "duplicate"));
    const id = page.sending.add(completed("one"));
    await settle();
    expect(page.stateOf(id)).toEqual({ name: "saved" });
  });

  it("joins the next batch while one is under way", async () => {
    const page = openPage();
    const ids = ["one", "two", "three"].map((lesson) => page.sending.add(completed(lesson)));
    await settle();
    expect(page.requests.map(idsIn)).toEqual([[ids[0]], [ids[1], ids[2]]]);
    expect(page.requests[1]?.headers.get("X-Client-Queue-Backlog")).toBe("2");
    expect(page.requests[1]?.headers.get("X-Client-Queue-Lag")).toMatch(/^\d+$/);
  });

  it("waits behind no figures: analytics go by their own address", async () => {
    const page = openPage(({ path, events }) =>
      path.includes("analytics")
        ? problem(429, "slow_down", { "Retry-After": "60" })
        : receipts(events, "accepted"),
    );
    const figures = page.sending.add({
      kind: "analytics.recorded",
      body: { name: "lesson.opened", data: {} },
      says: "opened",
    });
    const work = page.sending.add(completed("one"));
    await settle();
    expect(page.stateOf(work).name).toBe("saved");
    expect(page.stateOf(figures).name).toBe("waiting");
  });
});

describe("an event without a receipt", () => {
  it("is kept and sent again under the same id after a network error", async () => {
    const page = openPage(networkDown);
    const id = page.sending.add(completed("one"));
    await settle();
    expect(page.stateOf(id)).toMatchObject({ name: "waiting", asked: false });
    page.server = takesAll;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(page.requests.map(idsIn)).toEqual([[id], [id]]);
    expect(page.requests[1]?.text).toBe(page.requests[0]?.text);
    expect(page.stateOf(id).name).toBe("saved");
  });

  it.each([
    [
      "a captive portal's page with a 200",
      () => new Response("<html>Log in</html>", { headers: { "Content-Type": "text/html" } }),
    ],
    ["a 200 with JSON of somebody else", () => json({ ok: true }, 200)],
    [
      "a 202 whose receipts name other events",
      () => json({ receipts: [{ id: "stranger", status: "accepted" }] }),
    ],
    ["a 202 whose receipts cannot be read", () => json({ receipts: ["accepted", { status: "accepted" }] })],
    [
      "a receipt with a word this page does not know",
      ({ events }: Request) => json({ receipts: events.map(({ id }) => ({ id, status: "pondered" })) }),
    ],
    ["a 403 page that the server did not write", () => new Response("Blocked", { status: 403 })],
    ["a 500", () => problem(500, "broken")],
    ["a 507", () => problem(507, "disk_full")],
  ])("is not saved by %s", async (_, answer: Server) => {
    const page = openPage(answer);
    const id = page.sending.add(completed("one"));
    await settle();
    expect(page.stateOf(id).name).toBe("waiting");
    expect(page.onSaved).not.toHaveBeenCalled();
    page.server = takesAll;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(page.stateOf(id).name).toBe("saved");
    expect(new Set(page.requests.flatMap(idsIn))).toEqual(new Set([id]));
  });

  it("is kept when the receipts name only its neighbours", async () => {
    const page = openPage(networkDown);
    const ids = ["one", "two"].map((lesson) => page.sending.add(completed(lesson)));
    await settle();
    page.server = ({ events }) => receipts(events.slice(0, 1), "accepted");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(ids.map((id) => page.stateOf(id).name)).toEqual(["saved", "waiting"]);
    page.server = takesAll;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(idsIn(page.requests.at(-1))).toEqual([ids[1]]);
  });

  it("comes again when a receipt says later, not before the time it names", async () => {
    const page = openPage(({ events }) =>
      receipts(events, "later", { retryAfterS: 30, reason: "the disk is busy" }),
    );
    const id = page.sending.add(completed("one"));
    await settle();
    expect(page.stateOf(id)).toMatchObject({ name: "waiting", why: "the disk is busy", asked: true });
    page.server = takesAll;
    page.sending.tryNow();
    await vi.advanceTimersByTimeAsync(29_900);
    expect(page.requests).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(page.stateOf(id).name).toBe("saved");
  });

  it("keeps to the Retry-After of a busy server, also when the person is impatient", async () => {
    const page = openPage(() => problem(429, "slow_down", { "Retry-After": "20" }));
    page.sending.add(completed("one"));
    await settle();
    page.sending.tryNow();
    page.sending.add(completed("two"));
    await vi.advanceTimersByTimeAsync(19_000);
    expect(page.requests).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1_500);
    expect(page.requests).toHaveLength(2);
  });

  it("goes at once when the network is back, and the wait was our own", async () => {
    const page = openPage(networkDown);
    const id = page.sending.add(completed("one"));
    await settle();
    page.server = takesAll;
    page.sending.tryNow();
    await settle();
    expect(page.stateOf(id).name).toBe("saved");
  });

  it("slows down when the receipts ask for it", async () => {
    const page = openPage(({ events }) =>
      json({ receipts: events.map(({ id }) => ({ id, status: "accepted" })), slowDownMs: 5_000 }),
    );
    page.sending.add(completed("one"));
    await settle();
    page.sending.add(completed("two"));
    await vi.advanceTimersByTimeAsync(4_900);
    expect(page.requests).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(page.requests).toHaveLength(2);
  });
});

describe("an event the server refuses", () => {
  it.each(["invalid", "forbidden", "conflict"] as const)(
    "stays in sight with the reason when its receipt says %s, and is not sent again",
    async (status) => {
      const page = openPage(({ events }) =>
        receipts(events, status, { code: "no", reason: "percent must be 0 to 100" }),
      );
      const id = page.sending.add(completed("one"));
      await settle();
      expect(page.stateOf(id)).toEqual({ name: "refused", reason: "percent must be 0 to 100" });
      expect(isUnsaved(page.entry(id))).toBe(false);
      await vi.advanceTimersByTimeAsync(600_000);
      expect(page.requests).toHaveLength(1);
      page.sending.putAway(id);
      expect(page.sending.entries.value).toEqual([]);
    },
  );

  it("does not sink its neighbours when the whole batch is refused", async () => {
    const page = openPage(networkDown);
    const lessons = ["one", "two", "bad", "four", "five"];
    const ids = lessons.map((lesson) => page.sending.add(completed(lesson)));
    await settle();
    page.server = ({ text, events }) =>
      text.includes('"bad"') ? problem(422, "unreadable") : receipts(events, "accepted");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(ids.map((id) => page.stateOf(id).name)).toEqual(["saved", "saved", "refused", "saved", "saved"]);
    expect(page.stateOf(ids[2] ?? "")).toMatchObject({ reason: "Refused: unreadable." });
  });

  it("cannot be put away while it is unsaved", async () => {
    const page = openPage(networkDown);
    const id = page.sending.add(completed("one"));
    await settle();
    page.sending.putAway(id);
    expect(page.stateOf(id).name).toBe("waiting");
  });
});

describe("a session that ends", () => {
  it("holds the events, and sends them when the same person is back", async () => {
    const page = openPage(() => problem(401, "signed_out"));
    const id = page.sending.add(completed("one"));
    await settle();
    expect(page.expire).toHaveBeenCalledOnce();
    expect(page.stateOf(id)).toEqual({ name: "held", why: "signIn" });
    await vi.advanceTimersByTimeAsync(600_000);
    page.sending.tryNow();
    await settle();
    expect(page.requests).toHaveLength(1);
    page.server = takesAll;
    page.signedIn.value = true;
    await settle();
    expect(page.requests.map(idsIn)).toEqual([[id], [id]]);
    expect(page.stateOf(id).name).toBe("saved");
  });

  it("never sends one person's events as another", async () => {
    const page = openPage(() => problem(401, "signed_out"));
    const adas = page.sending.add(completed("one"));
    await settle();
    page.server = takesAll;
    page.cookieOf = CAL;
    page.owner.value = CAL;
    page.signedIn.value = true;
    const cals = page.sending.add(completed("two"));
    await vi.advanceTimersByTimeAsync(600_000);
    expect(page.requests.slice(1).map(idsIn)).toEqual([[cals]]);
    expect(page.stateOf(adas)).toEqual({ name: "held", why: "anotherPerson" });
    expect(isUnsaved(page.entry(adas))).toBe(true);
    page.cookieOf = ADA;
    page.owner.value = ADA;
    await settle();
    expect(page.stateOf(adas).name).toBe("saved");
  });

  it("sends nothing once another tab has signed somebody else in, and asks who it is", async () => {
    const page = openPage();
    page.cookieOf = CAL;
    const id = page.sending.add(completed("one"));
    await settle();
    expect(page.requests).toHaveLength(0);
    expect(page.ask).toHaveBeenCalled();
    expect(page.stateOf(id).name).toBe("waiting");
  });

  it("asks who is signed in when its token is stale, and gives up nothing", async () => {
    const page = openPage(() => problem(403, "csrf_mismatch"));
    const id = page.sending.add(completed("one"));
    await settle();
    expect(page.ask).toHaveBeenCalled();
    expect(page.stateOf(id).name).toBe("waiting");
  });
});
