// A page that does nothing but use the outbox, and tells the test what it was promised. `tell` is the
// test's own; where a browser has none, what was told is read from `told`.
import { HERE_CACHE, HERE_URL, markOf, openOutbox, tabParts, tagOf } from "/test/outbox.js";

window.told = [];
function say(what) {
  told.push(what);
  if (typeof tell === "function") tell(JSON.stringify(what));
}

window.signIn = async (email, password) => {
  const answer = await fetch("/api/auth/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  if (!answer.ok) throw new Error(`signing in: ${answer.status}`);
  return (await answer.json()).principal.userId;
};

window.signOut = async () => {
  const { csrfToken } = await (await fetch("/api/auth/session")).json();
  await fetch("/api/auth/logout", { method: "POST", headers: { "X-CSRF-Token": csrfToken } });
};

window.openMine = async (principal, more = {}) => {
  window.outbox = await openOutbox({ principal, fetch: (...asked) => fetch(...asked), ...tabParts(), ...more });
  outbox.subscribe((news) => {
    if (news.type !== "status" && news.type !== "added") say({ news });
  });
};

/**
 * As the portal's page does it: the worker is told whose outbox to send, and can be asked to. By default it
 * has a scope where no page is: then it sends, and leaves this page's own requests alone.
 */
window.withWorker = async (principal, scope = "/test/worker/") => {
  const worker = await navigator.serviceWorker.register("/sw.js", { scope });
  await (await caches.open(HERE_CACHE)).put(HERE_URL, new Response(markOf(principal)));
  while (!worker.active) await new Promise((ok) => setTimeout(ok, 50));
  window.askForSync = () => worker.sync.register(tagOf(principal));
};

const bodies = {
  "analytics.recorded": (n) => ({ name: "page.opened", data: { n } }),
  "lesson.progressed": (n) => ({ courseId, lessonId, percent: n % 100 }),
  "lesson.completed": () => ({ courseId, lessonId }),
};
const courseId = "reading-the-tide";
const lessonId = "02-springs-and-neaps";

async function addOne(kind, n, size) {
  const body = bodies[kind](n);
  if (size) body.data.filler = "x".repeat(size);
  const payload = JSON.stringify(body);
  try {
    const { id, seq, generation } = await outbox.add({ kind, payload });
    say({ saved: id, seq, generation, kind, where: "device" });
    return true;
  } catch (fault) {
    if (fault.name !== "NotKept") throw fault;
    // Not called saved. Where the server took it at once, it may be.
    say({ unsafe: kind });
    return false;
  }
}

/** Adds so many at once; resolves with how many were called saved on this device. */
window.add = async (count, kind = "lesson.progressed", size = 0) =>
  (await Promise.all(Array.from({ length: count }, (_, n) => addOne(kind, n, size)))).filter(Boolean).length;

/** Goes on adding, so many at once and one of each kind in turn, until told to stop. */
window.keepAdding = async (everyMs, atOnce = 1) => {
  window.adding = true;
  const kinds = Object.keys(bodies);
  for (let n = 0; window.adding; n += atOnce) {
    const ones = Array.from({ length: atOnce }, (_, i) => addOne(kinds[(n + i) % kinds.length], n + i, 0));
    await Promise.all(ones).catch((fault) => say({ fault: String(fault) }));
    await new Promise((ok) => setTimeout(ok, everyMs));
  }
};
