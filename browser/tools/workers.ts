/**
 * What the build adds for service workers: the build's name, the list of files each worker keeps, and the
 * workers themselves.
 *
 * The name is a hash over all files, the workers' too, so that the same sources give the same name. It
 * stands in the shell (so that a page knows which build it is), in `build.json` (so that the server can
 * tell which it serves) and in the workers.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { build, type Plugin, type ResolvedConfig, type Rolldown } from "vite";

type Bundle = Rolldown.OutputBundle;
type Chunk = Rolldown.OutputChunk;

/** Stands for the build's name until all files are there; as long as a name, so that no size changes. */
const UNNAMED = "@holdfast-bu";

/** The scripts that are no part of the page. */
const SCRIPTS = {
  "sw.js": "src/worker/sw.ts",
  "sw-static.js": "src/worker/sw-static.ts",
  // What a worker runs only when it has something to send. Named by its build: it belongs to one worker.
  [`assets/worker-outbox-${UNNAMED}.js`]: "src/outbox/index.ts",
};
const OURS = /^(sw|sw-static)\.js$|^build\.json$|^assets\/worker-/;

/** Pages that only some open: a learner's device does not download them for nothing. */
const LATER = /\/src\/pages\/(admin|operator)\//;

export function workers(): Plugin {
  let config: ResolvedConfig;
  let firstFiles: string[] = [];
  return {
    name: "holdfast-workers",
    apply: "build",
    configResolved(resolved) {
      config = resolved;
    },
    generateBundle(_, bundle) {
      firstFiles = neededFirst(bundle);
    },
    async writeBundle() {
      const folder = resolve(config.root, config.build.outDir);
      // index.html is kept under the address "/", where it has the headers of a page.
      const files = filesIn(folder).filter((file) => !OURS.test(file) && file !== "index.html");
      const first = files.filter((file) => !file.startsWith("assets/") || firstFiles.includes(file));
      const manifest = {
        build: UNNAMED,
        first: first.map((file) => `/${file}`),
        later: files.filter((file) => !first.includes(file)).map((file) => `/${file}`),
        outbox: `/assets/worker-outbox-${UNNAMED}.js`,
      };
      for (const [output, input] of Object.entries(SCRIPTS))
        await buildScript(config, output, input, manifest);
      const shell = join(folder, "index.html");
      const meta = `<meta name="holdfast-build" content="${UNNAMED}" />`;
      writeFileSync(shell, readFileSync(shell, "utf8").replace("<head>", `<head>\n    ${meta}`));
      nameBuild(folder, ["index.html", ...Object.keys(SCRIPTS)]);
    },
  };
}

/** Gives the build its name, and puts it wherever one was left out. */
function nameBuild(folder: string, unnamed: string[]): void {
  const hash = createHash("sha256");
  for (const file of filesIn(folder).filter((file) => file !== "build.json"))
    hash.update(`${file}\n`).update(readFileSync(join(folder, file)));
  const build = hash.digest("hex").slice(0, UNNAMED.length);
  for (const file of unnamed) {
    const text = readFileSync(join(folder, file), "utf8").replaceAll(UNNAMED, build);
    rmSync(join(folder, file));
    writeFileSync(join(folder, file.replace(UNNAMED, build)), text);
  }
  writeFileSync(join(folder, "build.json"), JSON.stringify({ build }));
}

async function buildScript(config: ResolvedConfig, output: string, input: string, manifest: object) {
  await build({
    configFile: false,
    root: config.root,
    mode: config.mode,
    publicDir: false,
    logLevel: "warn",
    define: {
      __MANIFEST__: JSON.stringify(manifest),
      __DEVELOPMENT__: JSON.stringify(config.mode === "development"),
      "process.env.NODE_ENV": '"production"',
    },
    build: {
      outDir: config.build.outDir,
      emptyOutDir: false,
      target: "es2022",
      // One classic script: not every browser can load a worker's modules.
      lib: {
        entry: join(config.root, input),
        formats: ["iife"],
        name: "holdfastOutbox",
        fileName: () => output,
      },
      rollupOptions: { output: { codeSplitting: false } },
    },
  });
}

/** The entry's files and all they may load later, but for the pages that only some open. */
function neededFirst(bundle: Bundle): string[] {
  const chunks = new Map(
    Object.values(bundle).flatMap((one) => (one.type === "chunk" ? [[one.fileName, one] as const] : [])),
  );
  const found = new Set<string>();
  const visit = (chunk: Chunk | undefined) => {
    if (!chunk || found.has(chunk.fileName) || LATER.test(chunk.facadeModuleId ?? "")) return;
    found.add(chunk.fileName);
    for (const file of [
      ...(chunk.viteMetadata?.importedCss ?? []),
      ...(chunk.viteMetadata?.importedAssets ?? []),
    ])
      found.add(file);
    for (const file of [...chunk.imports, ...chunk.dynamicImports]) visit(chunks.get(file));
  };
  for (const chunk of chunks.values()) if (chunk.isEntry) visit(chunk);
  return [...found];
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .sort();
}
