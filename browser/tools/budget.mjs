/**
 * The byte budgets: what a browser loads before somebody can work, gzipped. Measured on what was built;
 * `npm run budget` fails when one is over. KB are 1,000 bytes.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const built = resolve(process.argv[2] ?? join(import.meta.dirname, "../../src/holdfast/web/client"));

/** Each with the files that are its roots, and the most that they and what they import may weigh. */
const BUDGETS = [
  { what: "a learner's first page", roots: rootsOfShell(), limit: 45_000 },
  { what: "the service worker", roots: ["sw.js"], limit: 12_000 },
];

function rootsOfShell() {
  const shell = readFileSync(join(built, "index.html"), "utf8");
  return [...shell.matchAll(/<script[^>]+src="\/([^"]+)"|rel="modulepreload"[^>]+href="\/([^"]+)"/g)].map(
    ([, script, preload]) => script ?? preload,
  );
}

/** A file and all it imports at once; what it imports when asked for is not among them. */
function withImports(file, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = readFileSync(join(built, file), "utf8");
  for (const [, target] of text.matchAll(/(?:from|import)\s*"(\.{1,2}\/[^"]+\.js)"/g)) {
    withImports(join(dirname(file), target), seen);
  }
  return seen;
}

const gzipped = (file) => gzipSync(readFileSync(join(built, file)), { level: 9 }).length;

let over = false;
for (const { what, roots, limit } of BUDGETS) {
  if (roots.length === 0) throw new Error(`${what}: no script was found in ${built}`);
  const files = new Set(roots.flatMap((root) => [...withImports(root)]));
  const bytes = [...files].reduce((sum, file) => sum + gzipped(file), 0);
  say(what, limit, bytes, [...files]);
}

function say(what, limit, bytes, files) {
  over ||= bytes > limit;
  const verdict = bytes > limit ? "OVER" : "ok";
  process.stdout.write(`${verdict.padEnd(5)}${bytes} of ${limit} bytes: ${what} (${files.join(", ")})\n`);
}

/** The outbox's own code: `core` and `wire`, which every page carries anyway, are not counted. */
const OUTBOX = "../src/outbox";
const OUTBOX_BUDGETS = [
  // Its look for losses comes when the network does.
  { what: "the outbox", input: "open.ts", later: /\.\/loss$/, limit: 10_300 },
  { what: "the outbox's look for losses", input: "loss.ts", later: /\.\//, limit: 1_100 },
];

for (const { what, input, later, limit } of OUTBOX_BUDGETS) {
  const { output } = await build({
    configFile: false,
    logLevel: "error",
    build: {
      write: false,
      target: "es2022",
      modulePreload: false,
      rollupOptions: {
        input: resolve(import.meta.dirname, OUTBOX, input),
        external: [/\/(core|wire)\//, later],
        preserveEntrySignatures: "strict",
      },
    },
  });
  say(what, limit, gzipSync(output[0].code, { level: 9 }).length, [input]);
}

// Not a budget, but what else there is: a person may open it.
const others = readdirSync(join(built, "assets")).filter((file) => file.endsWith(".js"));
process.stdout.write(`${others.map((file) => `     ${gzipped(join("assets", file))} ${file}`).join("\n")}\n`);
process.exitCode = over ? 1 : 0;
