import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { believeCourseList, believeHealth } from "./believe";
import { createWire } from "./client";

const COURSES = { items: [] };

function wireTo(answer: () => Promise<Response>, csrfToken = "token") {
  const fetch = vi.fn<typeof globalThis.fetch>(answer);
  const wire = createWire({ fetch, clock: systemClock, csrfToken: () => csrfToken });
  return { fetch, read: () => wire.call({ method: "GET", path: "/api/x" }, believeCourseList), wire };
}

const json = (value: unknown, init: ResponseInit = {}) =>
  new Response(JSON.stringify(value), {
    ...init,
    headers: { "Content-Type": "application/json", ...init.headers },
  });

describe("a call over the wire", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("believes an answer that is what it should be", async () => {
    const { read } = wireTo(async () => json(COURSES));
    expect(await read()).toEqual({ ok: true, value: COURSES });
  });

  it("tells how old the data is, and where the portal is a demonstration", async () => {
    const headers = { "X-Data-As-Of": "2031-01-01T00:00:00Z", "X-Holdfast-Demo": "on" };
    expect(await wireTo(async () => json(COURSES, { headers })).read()).toMatchObject({
      asOf: headers["X-Data-As-Of"],
    });
    const { wire } = wireTo(async () => json({ status: "ok", epoch: "e", seq: 1 }, { headers }));
    const health = await wire.call({ method: "GET", path: "/api/health" }, believeHealth);
    expect(health).toMatchObject({ ok: true, value: { status: "ok", demo: true } });
  });

  it("says who asks where somebody reads, and nowhere else", async () => {
    const fetch = vi.fn<typeof globalThis.fetch>(async () => json(COURSES));
    const wire = createWire({ fetch, clock: systemClock, csrfToken: () => "", whose: () => "o/u" });
    const asker = async (method: "GET" | "POST", path: string) => {
      await wire.call({ method, path }, believeCourseList);
      return new Headers(fetch.mock.lastCall?.[1]?.headers).get("X-Holdfast-Principal");
    };
    expect(await asker("GET", "/api/client/courses")).toBe("o/u");
    expect(await asker("GET", "/api/admin/users?limit=50")).toBe("o/u");
    expect(await asker("GET", "/api/auth/session")).toBeNull();
    expect(await asker("POST", "/api/admin/users")).toBeNull();
    expect(await asker("POST", "/api/client/receipts")).toBeNull();
  });

  it("does not believe a reading that is for somebody else, as after a sign-in in another tab", async () => {
    const read = (asked: string | undefined, told: string | undefined) => {
      const fetch = async () => json(COURSES, told ? { headers: { "X-Holdfast-Principal": told } } : {});
      const wire = createWire({ fetch, clock: systemClock, csrfToken: () => "", whose: () => asked });
      return wire.call({ method: "GET", path: "/api/client/courses" }, believeCourseList);
    };
    expect(await read("o/u", "o/other")).toMatchObject({ ok: false, problem: { family: "garbled" } });
    expect(await read("o/u", "o/u")).toMatchObject({ ok: true });
    // Not every answer says whose it is, and not everybody who asks is known here.
    expect(await read("o/u", undefined)).toMatchObject({ ok: true });
    expect(await read(undefined, "o/u")).toMatchObject({ ok: true });
  });

  it("tells an answer of this device apart from one of the server", async () => {
    const headers = { "X-Holdfast-From": "cache" };
    expect(await wireTo(async () => json(COURSES, { headers })).read()).toMatchObject({ fromDevice: true });
    expect(await wireTo(async () => json(COURSES)).read()).not.toHaveProperty("fromDevice");
  });

  it("sends a file as the type it is stated to be, and reads a text where one is asked for", async () => {
    const headers = { "Content-Type": "text/csv; charset=utf-8" };
    const { fetch, wire } = wireTo(async () => new Response("a,b", { headers }));
    const file = new Blob(["email,name"]);
    const believeText = (value: unknown) => (typeof value === "string" ? value : undefined);
    const ask = { method: "PATCH", path: "/api/x", body: file, reads: "text" } as const;
    const answer = await wire.call({ ...ask, headers: { "Content-Type": "text/csv" } }, believeText);
    expect(answer).toEqual({ ok: true, value: "a,b" });
    expect(fetch).toHaveBeenCalledWith(
      "/api/x",
      expect.objectContaining({
        method: "PATCH",
        body: file,
        headers: expect.objectContaining({ "Content-Type": "text/csv", "X-CSRF-Token": "token" }),
      }),
    );
  });

  it("gives a call the time it asks for", async () => {
    const never = () => new Promise<Response>(() => {});
    const { fetch, wire } = wireTo(never);
    fetch.mockImplementation(
      (_, init) =>
        new Promise((_resolve, reject) => init?.signal?.addEventListener("abort", () => reject(new Error()))),
    );
    let problem: string | undefined;
    const ask = { method: "POST", path: "/api/x", deadlineMs: 60_000 } as const;
    const done = wire.call(ask, believeCourseList).then((answer) => {
      problem = answer.ok ? "none" : answer.problem.detail;
    });
    await vi.advanceTimersByTimeAsync(59_000);
    expect(problem).toBeUndefined();
    await vi.advanceTimersByTimeAsync(2_000);
    await done;
    expect(problem).toContain("within 60 s");
  });

  it("does not believe a captive portal's page, although it says 200", async () => {
    const page = async () =>
      new Response("<html>Log in to the café</html>", { headers: { "Content-Type": "text/html" } });
    expect(await wireTo(page).read()).toMatchObject({
      ok: false,
      problem: { family: "garbled", status: 200 },
    });
  });

  it("does not believe JSON of another shape", async () => {
    const { read } = wireTo(async () => json({ login: "required" }));
    expect(await read()).toMatchObject({ ok: false, problem: { family: "garbled" } });
  });

  it("tells a network error apart from the server's own problem", async () => {
    const dead = wireTo(async () => Promise.reject(new TypeError("Failed to fetch")));
    expect(await dead.read()).toMatchObject({ ok: false, problem: { family: "unreachable", status: 0 } });
    const busy = wireTo(async () => new Response("", { status: 503, headers: { "Retry-After": "9" } }));
    expect(await busy.read()).toMatchObject({ ok: false, problem: { family: "later", retryAfterS: 9 } });
  });

  it("gives up on a server that never answers", async () => {
    const { fetch, wire } = wireTo(async () => json(COURSES));
    fetch.mockImplementation(
      (_, init) =>
        new Promise((_resolve, reject) => {
          init?.signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
        }),
    );
    const answer = wire.call({ method: "GET", path: "/api/x" }, believeCourseList);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(await answer).toMatchObject({ ok: false, problem: { family: "unreachable" } });
  });

  it("carries the CSRF token with a write, and not with a read", async () => {
    const { fetch, read, wire } = wireTo(async () => json(COURSES), "proof");
    await read();
    await wire.call({ method: "POST", path: "/api/y", body: "{}" }, believeCourseList);
    const headers = fetch.mock.calls.map(([, init]) => new Headers(init?.headers).get("X-CSRF-Token"));
    expect(headers).toEqual([null, "proof"]);
  });
});
