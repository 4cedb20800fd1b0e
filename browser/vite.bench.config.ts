import { defineConfig } from "vite";

/** The page of `bench/outbox.py`; where it is written to is for the bench to say. */
export default defineConfig({
  publicDir: false,
  resolve: { alias: { events: "/bench/events.js" } },
  build: {
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    rollupOptions: {
      input: "bench/outbox.js",
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "outbox.js", codeSplitting: false },
    },
  },
});
