import { describe, expect, it } from "vitest";
import { merged } from "./merge";

describe("a merge patch", () => {
  // The examples of RFC 7396, appendix A, but for those whose documents are no objects at the top.
  it.each([
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])("makes %j with %j into %j", (document, patch, wanted) => {
    expect(merged(document, patch)).toEqual(wanted);
  });

  it("leaves the document it was given as it was", () => {
    const document = { a: { b: 1 } };
    merged(document, { a: { b: 2 } });
    expect(document).toEqual({ a: { b: 1 } });
  });
});
