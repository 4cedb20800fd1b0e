import { describe, expect, it } from "vitest";

/** The floors of the house; imports point down only, and neighbours on one floor leave each other alone. */
const FLOORS: Record<string, number> = {
  core: 1,
  wire: 2,
  outbox: 3,
  feed: 3,
  state: 4,
  worker: 4,
  pages: 5,
};
const MAIN = 6;

const files: Record<string, string> = import.meta.glob("./**/*.{ts,tsx}", {
  query: "?raw",
  import: "default",
  eager: true,
});
const ours = Object.entries(files).filter(
  ([path]) => !path.includes(".test.") && !path.endsWith("schema.d.ts"),
);
/** The floor's folder: the first one on the way; nothing for a file that stands beside `main.tsx`. */
const folderOf = (path: string): string => /^\.\/([^/]+)\//.exec(path)?.[1] ?? "";
/** What a file imports, also later, as paths like its own. */
const importsIn = (path: string, text: string): string[] =>
  [...text.matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g)].map(
    ([, target]) => `.${new URL(target ?? "", new URL(path, "file:///")).pathname}`,
  );

describe("the browser's house", () => {
  it("has files to look at", () => {
    expect(ours.length).toBeGreaterThan(20);
  });

  it("imports downwards only", () => {
    const wrong = ours.flatMap(([path, text]) => {
      const from = folderOf(path);
      return importsIn(path, text)
        .filter((target) => !target.endsWith(".css"))
        .map(folderOf)
        .filter((to) => to !== from && (FLOORS[to] ?? MAIN) >= (FLOORS[from] ?? MAIN))
        .map((to) => `${path} imports from ${to}`);
    });
    expect(wrong).toEqual([]);
  });

  it("calls fetch in one place only", () => {
    // `main.tsx` hands the browser's own fetch over; `client.ts` calls it. The worker passes requests on.
    const callers = ours.filter(([, text]) => /\bfetch\(/.test(text)).map(([path]) => path);
    expect(callers.sort()).toEqual(["./main.tsx", "./wire/client.ts", "./worker/network.ts"]);
  });

  it("sends events through one module only", () => {
    // What writes a batch or names where it goes stands in the outbox, on the wire's own words.
    const senders = ours.filter(
      ([path, text]) => !path.startsWith("./wire/") && /from "[^"]*wire\/(batch|sending)"/.test(text),
    );
    expect(senders.length).toBeGreaterThan(0);
    expect(senders.map(([path]) => path).filter((path) => !path.startsWith("./outbox/"))).toEqual([]);
  });

  it("lets a page write through the outbox only, and know no more of it than its shapes", () => {
    const pages = ours.filter(([path]) => path.startsWith("./pages/"));
    const wrong = pages.filter(([, text]) =>
      /^import (?!type )[^;]*from "[^"]*\/outbox\/[^"]*";/m.test(text),
    );
    expect(wrong.map(([path]) => path)).toEqual([]);
    expect(pages.filter(([, text]) => /\boutbox\.add\(/.test(text)).length).toBeGreaterThan(1);
  });

  it("keeps files short", () => {
    const written = Object.entries(files).filter(([path]) => path !== "./wire/schema.d.ts"); // generated
    const long = written.filter(([, text]) => text.split("\n").length > 400);
    expect(long.map(([path]) => path)).toEqual([]);
  });
});
