/** The service worker: the page's files, what a learner read, and what waits to be sent. */
import { serveReads } from "./reads";
import { serveSending } from "./sending";
import { serveShell } from "./shell";

serveShell(__MANIFEST__);
serveReads();
serveSending(__MANIFEST__);
