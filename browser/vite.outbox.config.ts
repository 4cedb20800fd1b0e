import { defineConfig } from "vite";

/** The outbox by itself: one module, for pages that are not this portal's. */
export default defineConfig({
  publicDir: false,
  build: {
    outDir: "../dist/outbox",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    rollupOptions: {
      input: "src/outbox/alone.ts",
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "outbox.js", codeSplitting: false },
    },
  },
});
