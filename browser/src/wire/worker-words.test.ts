import { describe, expect, it } from "vitest";
import { figuresIn, isSomebodysCache, markOf, tagOf, whoseMark, whoseTag } from "./worker-words";

describe("the words between page and worker", () => {
  it.each([
    { orgId: "tidewater", userId: "demo-ada" },
    { orgId: "", userId: "olu" },
    { orgId: "a/b c", userId: "ü%/~!'()*" },
  ])("write whose something is so that it can be read again: %o", (whose) => {
    expect(whoseMark(markOf(whose))).toEqual(whose);
    expect(whoseTag(tagOf(whose))).toEqual(whose);
    expect(markOf(whose)).toMatch(/^[\x21-\x7e]*$/);
  });

  it.each(["", "a", "a/", "a/b/c", "%/b"])("take no other text for a mark: %j", (text) => {
    expect(whoseMark(text)).toBeUndefined();
    expect(whoseTag(text)).toBeUndefined();
  });

  it("find a lesson's figures, each once, also where the lesson stands in JSON", () => {
    const html = `<img src="/api/client/courses/c/assets/fig/a%20b.png"><img src='/api/client/courses/c/assets/x.svg'>
      <a href="/api/client/courses/c/assets/x.svg">x</a><a href="/api/client/courses/c/lessons/l">l</a>`;
    const paths = ["/api/client/courses/c/assets/fig/a%20b.png", "/api/client/courses/c/assets/x.svg"];
    expect(figuresIn(html)).toEqual(paths);
    expect(figuresIn(JSON.stringify({ html }))).toEqual(paths);
  });

  it("tell a person's caches from the page's own files", () => {
    expect(isSomebodysCache("holdfast-0123456789abcdef-reads")).toBe(true);
    for (const name of ["holdfast-here", "holdfast-builds", "workbox-precache-v2-http://x/"]) {
      expect(isSomebodysCache(name)).toBe(false);
    }
  });
});
