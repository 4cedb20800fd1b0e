import { describe, expect, it } from "vitest";
import { type Way, wayOf } from "./routes";

const HOME = "https://portal.test";

function way(
  method: string,
  path: string,
  more: { mode?: string; headers?: Record<string, string> } = {},
): Way {
  const url = new URL(path, HOME).href;
  return wayOf({ method, url, mode: more.mode ?? "cors", headers: new Headers(more.headers) }, HOME);
}

describe("which request the worker answers", () => {
  it.each(["/", "/courses/a", "/courses/a/lessons/b", "/waiting", "/admin/people", "/apiary"])(
    "opens the shell for the page %s",
    (path) => expect(way("GET", path, { mode: "navigate" })).toBe("shell"),
  );

  it.each([
    "/api/health",
    "/api/openapi.json",
    "/assets/x.js",
    "/favicon.svg",
    "/sw.js",
    "/livez",
    "/readyz",
  ])("leaves an address of the server's own to the browser: %s", (path) =>
    expect(way("GET", path, { mode: "navigate" })).toBe("through"),
  );

  it.each<[string, Way]>([
    ["/assets/index-abc.js", "asset"],
    ["/api/client/courses", "read"],
    ["/api/client/courses/a", "read"],
    ["/api/client/courses/a/lessons/b", "read"],
    ["/api/client/progress", "read"],
    ["/api/client/courses/a/assets/fig/x.png", "figure"],
    ["/api/admin/courses", "list"],
    ["/api/admin/courses/a", "list"],
    ["/api/admin/users?active=true&limit=500&after=x%40y.example", "list"],
    ["/api/admin/assignments?search=pia", "list"],
  ])("reads %s as %s", (path, expected) => expect(way("GET", path)).toBe(expected));

  it.each([
    "/api/auth/session",
    "/api/health",
    "/api/health/stream",
    "/api/client/flags",
    "/api/admin/assigning",
    "/api/admin/analytics/overview?table=courses",
    "/api/admin/offline/ledger",
    "/api/client/courses/a/assets/",
    "/api/client/courses/a/lessons/b/more",
    "/api/client/courses?search=x",
  ])("does not touch GET %s", (path) => expect(way("GET", path)).toBe("through"));

  it("does not touch a part of a file, nor another origin", () => {
    const part = { headers: { Range: "bytes=0-99" } };
    expect(way("GET", "/api/client/courses/a/assets/film.mp4", part)).toBe("through");
    expect(way("GET", "https://elsewhere.test/api/client/courses")).toBe("through");
  });

  it.each([
    "/api/client/progress",
    "/api/client/progress/batch",
    "/api/analytics/events",
    "/api/analytics/events/batch",
  ])("takes POST %s for a stranger's, unless it is the outbox's", (path) => {
    expect(way("POST", path)).toBe("foreign");
    expect(way("POST", path, { headers: { "X-Holdfast-Outbox": "1" } })).toBe("through");
    expect(way("POST", `${path}?outbox`)).toBe("through");
  });

  it("leaves another site's form to the server, which refuses it", () => {
    expect(way("POST", "/api/client/progress", { mode: "navigate" })).toBe("through");
    expect(way("POST", "/api/client/progress", { mode: "no-cors" })).toBe("foreign");
  });

  it.each([
    "/api/auth/login",
    "/api/auth/logout",
    "/api/client/receipts",
    "/api/client/loss",
    "/api/admin/courses/a/assign",
    "/api/admin/courses/import",
    "/api/admin/users",
    "/api/admin/users/find",
  ])("does not touch POST %s", (path) => expect(way("POST", path)).toBe("through"));
});
