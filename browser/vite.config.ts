import { defineConfig } from "vite";
import { workers } from "./tools/workers.ts";

export default defineConfig({
  base: "/",
  plugins: [workers()],
  build: {
    // The wheel carries what is built here; it is never committed.
    outDir: "../src/holdfast/web/client",
    emptyOutDir: true,
    assetsDir: "assets",
    // Everything stays a file of our own: the server's content security policy knows no data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // `npm run dev` beside a running portal: pages from here, calls to it.
    proxy: { "/api": "http://127.0.0.1:8000" },
  },
});
