import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";
import { mintId } from "../core/ids";
import { lessonOpened, lessonProgressed } from "../state/acts";
import { createReadingMeter, seenPercent } from "../state/reading";
import { sameOwner } from "../state/session";
import type { Lesson } from "../wire/shapes";
import { usePortal } from "./use-portal";

const LOOK_EVERY_MS = 1_000;
const TOUCHES = ["scroll", "pointerdown", "pointermove", "keydown"] as const;

/** Follows the reading of one lesson, from its opening until it is left. */
export function useReading(lesson: Lesson, article: RefObject<HTMLElement | null>): void {
  const { clock, outbox, session, beforeSignOut } = usePortal();
  const { id, courseId, title } = lesson;
  // What the server had when the lesson was opened; its later word changes nothing that was seen here.
  useEffect(() => {
    const place = { id, courseId, title };
    const reader = session.owner.peek();
    if (reader === undefined) return;
    const meter = createReadingMeter({
      sessionId: mintId(),
      percent: lesson.progress.percent,
      elapsed: clock.elapsed,
      // In the reader's name, whoever is signed in by the time it is said.
      say: (progress) => void outbox.add(lessonProgressed(place, progress), reader),
    });
    outbox.add(lessonOpened(place), reader);

    const look = () => {
      const box = article.current?.getBoundingClientRect();
      if (!box) return;
      const seen = seenPercent(box, window.innerHeight);
      meter.sample({ visible: document.visibilityState === "visible", seenPercent: seen });
    };
    const timer = setInterval(look, LOOK_EVERY_MS);
    const onHide = () => document.visibilityState === "hidden" && meter.left();
    for (const touch of TOUCHES) addEventListener(touch, meter.touched, { passive: true });
    document.addEventListener("visibilitychange", onHide);
    beforeSignOut.add(meter.left);
    return () => {
      beforeSignOut.delete(meter.left);
      clearInterval(timer);
      for (const touch of TOUCHES) removeEventListener(touch, meter.touched);
      document.removeEventListener("visibilitychange", onHide);
      // Whoever signed out has said what was left to say, and may have thrown it away.
      if (sameOwner(session.owner.peek(), reader)) meter.left();
    };
  }, [id, courseId]);
}
