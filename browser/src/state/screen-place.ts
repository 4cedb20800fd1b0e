/** Where a reader stood: how far down, and how far into a film or a recording; and whether somebody is typing. */
import type { Clock } from "../core/clock";
import type { Screen } from "./screen";

const LOOK_EVERY_MS = 100;
/** The page's content comes later than the page; who has waited so long has looked elsewhere. */
const LONGEST_MS = 8_000;
const TOUCHES = ["wheel", "touchstart", "keydown", "pointerdown"] as const;

const playersOn = (document: Document) => [
  ...document.querySelectorAll<HTMLMediaElement>("#main video, #main audio"),
];

/** Somebody may listen without looking or touching anything. */
export const isPlaying = (document: Document): boolean => playersOn(document).some(({ paused }) => !paused);

/**
 * A form of the staff's that was begun and not sent is in the page only: a reload would lose it. What is
 * searched for is no loss, and neither is a text that stands as the server, or the draft, has it.
 */
export const isTyping = (document: Document): boolean =>
  [...document.querySelectorAll<HTMLInputElement>(".admin :read-write:not([type=search])")].some(
    ({ value, defaultValue }) => value !== defaultValue,
  );

export function keepPlace(screen: Screen, window: Window, document: Document, clock: Clock): void {
  const players = () => playersOn(document);
  screen.rememberScreen("scroll", () => window.scrollY);
  screen.rememberScreen("players", () => players().map(({ currentTime }) => currentTime));
  const top = screen.restored("scroll");
  const times = screen.restored("players");
  if (typeof top === "number" && top > 0) goBack(top);
  if (Array.isArray(times) && times.some((time) => time > 0)) wind(times);

  function soon(isDone: () => boolean): void {
    const untilMs = clock.elapsed() + LONGEST_MS;
    const look = () => {
      if (!isDone() && clock.elapsed() < untilMs) clock.after(LOOK_EVERY_MS, look);
    };
    look();
  }

  function goBack(top: number): void {
    let touched = false;
    const touch = () => {
      touched = true;
    };
    for (const name of TOUCHES) window.addEventListener(name, touch, { passive: true, once: true });
    soon(() => {
      if (touched) return true;
      const room = document.documentElement.scrollHeight - window.innerHeight;
      if (room < top) return false;
      window.scrollTo({ top, behavior: "instant" });
      return true;
    });
  }

  function wind(times: readonly unknown[]): void {
    soon(() => {
      const there = players();
      if (there.length < times.length) return false;
      there.forEach((player, at) => {
        const time = times[at];
        if (typeof time === "number") player.currentTime = time;
      });
      return true;
    });
  }
}
