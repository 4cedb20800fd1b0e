import { effect } from "@preact/signals";
import { render } from "preact";
import { systemClock } from "./core/clock";
import "./looks/ground.css";
import "./looks/frame.css";
import "./looks/banner.css";
import "./looks/pages.css";
import "./looks/lesson.css";
import "./looks/saving.css";
import "./looks/installed.css";
import "./looks/print.css";
import { tabParts } from "./outbox/page";
import { App } from "./pages/app";
import { createPortal } from "./state/portal";
import { SIGNED_IN_KEY } from "./state/session";
import { RUNTIME_STATUS } from "./wire/worker-words";

const portal = createPortal({
  fetch: (...request) => fetch(...request),
  clock: systemClock,
  storageOf: () => localStorage,
  tabStorageOf: () => sessionStorage,
  random: Math.random,
  online: () => navigator.onLine,
  tab: tabParts(),
  window,
  locks: navigator.locks,
  channel: "BroadcastChannel" in window ? new BroadcastChannel(RUNTIME_STATUS) : undefined,
});

/** A school's whole network comes back at one moment; its pages need not all send in the same one. */
const BACK_ONLINE_SPREAD_MS = 2_000;

addEventListener("online", () => {
  portal.health.ask();
  setTimeout(portal.outbox.sendNow, Math.random() * BACK_ONLINE_SPREAD_MS);
});
addEventListener("offline", () => portal.health.ask());
// Another tab signed in or out; all tabs share the one cookie.
window.addEventListener("storage", ({ key }) => {
  if (key === null || key === SIGNED_IN_KEY) void portal.session.ask();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible") return;
  portal.health.ask();
  // The same person may have signed in again in another tab meanwhile.
  if (!portal.session.signedIn.peek()) void portal.session.ask();
});

// The browser asks before the page closes, but only while something is not on the device yet: a page with
// such a listener is kept out of the browser's back-forward cache.
const askBeforeLeaving = (event: BeforeUnloadEvent) => event.preventDefault();
let asks = false;
effect(() => {
  const mayLose = portal.outbox.atRisk.value > 0;
  if (mayLose === asks) return;
  asks = mayLose;
  if (mayLose) addEventListener("beforeunload", askBeforeLeaving);
  else removeEventListener("beforeunload", askBeforeLeaving);
});

void portal.session.ask();

const root = document.getElementById("app");
if (root) {
  root.replaceChildren();
  render(<App portal={portal} />, root);
}
