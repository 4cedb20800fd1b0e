/** The service worker that keeps the page's own files and nothing else: no answers, no sending. */
import { serveShell } from "./shell";

serveShell(__MANIFEST__);
