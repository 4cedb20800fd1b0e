/** What an outbox is given of the tab it lives in: its storage, its being seen, its last word. */
import type { Mirror, Page } from "../outbox/index";

export const mirrorIn = (storageOf: () => Storage): Mirror => ({
  get: (key) => storageOf().getItem(key),
  set(key, value) {
    if (value === null) storageOf().removeItem(key);
    else storageOf().setItem(key, value);
  },
  keys: () => Object.keys(storageOf()),
});

export const pageOf = (document: Document, window: Window): Page => ({
  visible: () => document.visibilityState === "visible",
  listen(heard) {
    const turned = () => heard(document.visibilityState === "visible" ? "seen" : "hidden");
    const gone = () => heard("gone");
    // Back from the back-forward cache or thawed: the page runs again.
    const back = () => document.visibilityState === "visible" && heard("seen");
    document.addEventListener("visibilitychange", turned);
    document.addEventListener("freeze", gone);
    document.addEventListener("resume", back);
    window.addEventListener("pagehide", gone);
    window.addEventListener("pageshow", back);
    return () => {
      document.removeEventListener("visibilitychange", turned);
      document.removeEventListener("freeze", gone);
      document.removeEventListener("resume", back);
      window.removeEventListener("pagehide", gone);
      window.removeEventListener("pageshow", back);
    };
  },
});
