import { describe, expect, it } from "vitest";
import { inWords, problemFrom } from "./problem";

const NOW_MS = Date.UTC(2031, 0, 1, 12, 0, 0);
const head = (
  status: number,
  contentType = "application/problem+json",
  retryAfter: string | null = null,
) => ({
  status,
  contentType,
  retryAfter,
});

describe("a problem the server tells", () => {
  it("is read with its code, its words and its hint", () => {
    const text = JSON.stringify({
      type: "about:blank",
      title: "Wrong credentials",
      status: 401,
      code: "wrong_credentials",
      detail: "E-mail or password is not right.",
      hint: "Check the keyboard layout.",
    });
    const problem = problemFrom(head(401), text, NOW_MS);
    expect(problem).toMatchObject({ family: "signIn", status: 401, code: "wrong_credentials" });
    expect(problem.hint).toBe("Check the keyboard layout.");
    expect(inWords(problem)).toBe("E-mail or password is not right.");
  });

  it("is for time to mend when the server is busy, down or broken", () => {
    for (const status of [408, 425, 429, 500, 502, 503, 507]) {
      expect(problemFrom(head(status), "{}", NOW_MS).family).toBe("later");
    }
  });

  it("is a refusal when the server itself says 4xx", () => {
    for (const status of [400, 403, 404, 409, 413, 422]) {
      expect(problemFrom(head(status), '{"code":"no"}', NOW_MS).family).toBe("refused");
    }
  });

  it("is no refusal when a proxy's page says 4xx in the server's place", () => {
    expect(problemFrom(head(403, "text/html"), "<h1>Blocked</h1>", NOW_MS).family).toBe("garbled");
    expect(problemFrom(head(404), "not json", NOW_MS).family).toBe("garbled");
  });

  it("says how long to wait: in its body, in seconds, or as a date", () => {
    expect(problemFrom(head(429), '{"retryAfterS":7}', NOW_MS).retryAfterS).toBe(7);
    expect(problemFrom(head(503, "text/html", "120"), "", NOW_MS).retryAfterS).toBe(120);
    const date = "Wed, 01 Jan 2031 12:00:30 GMT";
    expect(problemFrom(head(503, "text/html", date), "", NOW_MS).retryAfterS).toBe(30);
    expect(problemFrom(head(503, "text/html", "soon"), "", NOW_MS).retryAfterS).toBeUndefined();
  });

  it("is read without trust: fields of another type count as absent", () => {
    const problem = problemFrom(head(503), '{"title":{"a":1},"retryAfterS":"9","code":null}', NOW_MS);
    expect(problem).toMatchObject({ code: "http_503", title: "The answer was HTTP 503" });
    expect(problem.retryAfterS).toBeUndefined();
  });
});
