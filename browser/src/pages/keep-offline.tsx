import type { Keeping, KeptCourse, Room } from "../state/offline-courses";
import type { Portal } from "../state/portal";
import type { WorkerKind } from "../state/worker";
import type { Course } from "../wire/shapes";
import { atTime, counted } from "./words";

/** A whole course on the device: stored, its size and age seen, freed again. */
export function KeepOffline({ course, portal }: { course: Pick<Course, "id" | "title">; portal: Portal }) {
  const { offline, worker } = portal.installed;
  const kept = offline.kept.value.get(course.id);
  const keeping = offline.keeping.value.get(course.id);
  const storing = keeping?.name === "storing";
  return (
    <section class="keep-offline" aria-labelledby="keep-offline-title">
      <h2 id="keep-offline-title">Reading without a network</h2>
      <div aria-live="polite">
        <p>
          {kept
            ? wordsOf(kept, portal.clock.now())
            : "Store this course on this device, with all its lessons and figures, to read it anywhere."}
        </p>
        {keeping?.name === "failed" && <p class="form-problem">{WHY[keeping.why]}</p>}
      </div>
      {storing && <Progress title={course.title} keeping={keeping} />}
      {worker.kind.value === "reading" ? (
        <div class="buttons">
          <button
            type="button"
            class={kept ? "quiet" : ""}
            disabled={storing}
            onClick={() => void offline.keep(course.id)}
          >
            {storing ? "Storing…" : keeping ? "Try again" : kept ? "Store it anew" : "Keep for offline"}
          </button>
          {kept && (
            <button
              type="button"
              class="quiet"
              disabled={storing}
              onClick={() => void offline.free(course.id)}
            >
              Remove it from this device
            </button>
          )}
        </div>
      ) : (
        <p class="small">{CANT[worker.kind.value]}</p>
      )}
      <RoomLine room={offline.room.value} />
    </section>
  );
}

const WHY: Record<Extract<Keeping, { name: "failed" }>["why"], string> = {
  noAnswer: "The server did not answer, so a part is missing. What was stored so far stays for the next try.",
  noRoom: "This device has no room for all of it.",
};

const CANT: Record<Exclude<WorkerKind, "reading">, string> = {
  none: "This browser has not started what keeps courses here yet. Load the page again to try; private windows and some settings forbid it.",
  static: "Keeping courses is not switched on for you yet.",
};

function Progress({ title, keeping }: { title: string; keeping: Extract<Keeping, { name: "storing" }> }) {
  const { done, lessons } = keeping;
  return (
    <div>
      <progress max={Math.max(1, lessons)} value={done} aria-label={`Storing “${title}”`} />
      <p class="small">
        {done} of {counted(lessons, "lesson", "lessons")} stored
      </p>
    </div>
  );
}

const wordsOf = ({ lessons, bytes, keptAt }: KeptCourse, nowMs: number): string =>
  `On this device: ${counted(lessons, "lesson", "lessons")}, ${inBytes(bytes)}, stored at ${atTime(keptAt, nowMs)}. It stays until you remove it or sign out.`;

function RoomLine({ room: { persisted, usedBytes, ofBytes } }: { room: Room }) {
  if (usedBytes === undefined) return null;
  return (
    <p class="small">
      Holdfast uses {inBytes(usedBytes)} here{ofBytes ? ` of ${inBytes(ofBytes)} it may use` : ""}.{" "}
      {persisted
        ? "The browser promised not to clear it by itself."
        : "The browser may clear it by itself when the device runs out of room."}
    </p>
  );
}

const UNITS = ["bytes", "KB", "MB", "GB", "TB"];

function inBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < UNITS.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}
