/** A tab's own parts of an outbox. The worker has none of them, and does not import this. */
import type { Mirror, Page, Parts } from "./parts";

const pageOf = (target: Document, view: Window): Page => ({
  visible: () => target.visibilityState === "visible",
  listen(heard) {
    const ended = new AbortController();
    const on = (on: EventTarget, names: string[], change: () => Parameters<typeof heard>[0]) => {
      for (const name of names) on.addEventListener(name, () => heard(change()), { signal: ended.signal });
    };
    on(target, ["visibilitychange"], () => (target.visibilityState === "visible" ? "seen" : "hidden"));
    on(target, ["freeze"], () => "gone");
    on(target, ["resume"], () => "seen");
    on(view, ["pagehide"], () => "gone");
    on(view, ["pageshow"], () => "seen");
    return () => ended.abort();
  },
});

/** `storageOf` may throw, where a browser forbids localStorage: then so does the mirror, and the outbox knows. */
const mirrorIn = (storageOf: () => Storage): Mirror => ({
  get: (key) => storageOf().getItem(key),
  set: (key, value) => (value === null ? storageOf().removeItem(key) : storageOf().setItem(key, value)),
  keys: () => Object.keys(storageOf()),
});

/** Everything a tab adds to an outbox's parts. */
export const tabParts = () =>
  ({
    mirror: mirrorIn(() => localStorage),
    sendBeacon: (path: string, body: Blob) => navigator.sendBeacon(path, body),
    page: pageOf(document, window),
  }) satisfies Pick<Parts, "mirror" | "sendBeacon" | "page">;
