/**
 * Courses that a learner keeps on the device. The worker stores what is asked for with `KEEP` and says so
 * in its answer; nothing counts as kept without that word.
 */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Clock } from "../core/clock";
import { nameOf } from "../outbox/name";
import type { Believe } from "../wire/believe";
import { believeCourse, believeLesson } from "../wire/believe";
import type { Wire } from "../wire/client";
import type { Course } from "../wire/shapes";
import { cachesOf, figuresIn, KEEP, KEPT, type Whose } from "../wire/worker-words";

export interface KeptCourse {
  readonly courseId: string;
  readonly title: string;
  /** RFC 3339. */
  readonly keptAt: string;
  readonly lessons: number;
  readonly bytes: number;
  /** Where its parts lie. */
  readonly paths: readonly string[];
}

export type Keeping =
  | { readonly name: "storing"; readonly done: number; readonly lessons: number }
  | { readonly name: "failed"; readonly why: "noAnswer" | "noRoom" };

/** What the browser says of its storage; each is undefined where it says nothing. */
export interface Room {
  /** It promised not to clear this site's data by itself. */
  readonly persisted: boolean | undefined;
  readonly usedBytes: number | undefined;
  readonly ofBytes: number | undefined;
}

export interface OfflineParts {
  readonly wire: Wire;
  readonly caches: CacheStorage | undefined;
  readonly storage: Pick<StorageManager, "persist" | "persisted" | "estimate"> | undefined;
  readonly clock: Clock;
}

const NOTE = "/kept/";
/** A figure may be large and the line slow; it is asked for at leisure. */
const FIGURE_DEADLINE_MS = 120_000;

/** The value, and whether the worker has it on the device now. */
interface Stored<T> {
  readonly value: T;
  readonly kept: string | null;
}

class NotStored extends Error {
  constructor(readonly why: "noAnswer" | "noRoom") {
    super(why);
  }
}

export type OfflineCourses = ReturnType<typeof createOfflineCourses>;

export function createOfflineCourses({ wire, caches, storage, clock }: OfflineParts) {
  const kept = signal<ReadonlyMap<string, KeptCourse>>(new Map());
  const keeping = signal<ReadonlyMap<string, Keeping>>(new Map());
  const room = signal<Room>({ persisted: undefined, usedBytes: undefined, ofBytes: undefined });
  let whose: Whose | undefined;

  const cacheName = (owner: Whose) => cachesOf(nameOf(owner)).kept;

  function note(courseId: string, state: Keeping | undefined): void {
    const others = new Map(keeping.peek());
    others.delete(courseId);
    keeping.value = state ? others.set(courseId, state) : others;
  }

  /** The device may be somebody else's by now: what is asked for then would be stored among their things. */
  function stayWith(owner: Whose): void {
    if (whose !== owner) throw new NotStored("noAnswer");
  }

  async function ask<T>(owner: Whose, path: string, believe: Believe<T>, deadlineMs?: number): Promise<T> {
    const believeStored: Believe<Stored<T>> = (said, headers) => {
      const value = believe(said, headers);
      return value === undefined ? undefined : { value, kept: headers.get(KEPT) };
    };
    const answer = await wire.call(
      { method: "GET", path, headers: { [KEEP]: "1" }, ...(deadlineMs && { deadlineMs }) },
      believeStored,
    );
    stayWith(owner);
    if (!answer.ok) throw new NotStored("noAnswer");
    if (answer.value.kept !== "yes") throw new NotStored(answer.value.kept === "no" ? "noRoom" : "noAnswer");
    return answer.value.value;
  }

  /** Stores a course, its lessons and their figures. What is stored already is not fetched twice. */
  async function keep(courseId: string): Promise<void> {
    const owner = whose;
    if (!caches || !owner || keeping.peek().get(courseId)?.name === "storing") return;
    note(courseId, { name: "storing", done: 0, lessons: 0 });
    try {
      await persist();
      stayWith(owner);
      const path = `/api/client/courses/${encodeURIComponent(courseId)}`;
      const course: Course = await ask(owner, path, believeCourse);
      const paths = [path];
      const lessons = course.lessons.length;
      for (const [done, { id }] of course.lessons.entries()) {
        note(courseId, { name: "storing", done, lessons });
        const lessonPath = `${path}/lessons/${encodeURIComponent(id)}`;
        const lesson = await ask(owner, lessonPath, believeLesson);
        paths.push(lessonPath);
        for (const figure of figuresIn(lesson.html)) {
          await ask(owner, figure, anything, FIGURE_DEADLINE_MS);
          paths.push(figure);
        }
      }
      const cache = await caches.open(cacheName(owner));
      const bytes = await sizeOf(cache, paths);
      stayWith(owner);
      const keptAt = new Date(clock.now()).toISOString();
      const record: KeptCourse = { courseId, title: course.title, keptAt, lessons, bytes, paths };
      await cache.put(NOTE + encodeURIComponent(courseId), new Response(JSON.stringify(record)));
      stayWith(owner);
      note(courseId, undefined);
    } catch (fault) {
      if (whose !== owner) return;
      note(courseId, { name: "failed", why: fault instanceof NotStored ? fault.why : "noRoom" });
    }
    await look();
  }

  async function free(courseId: string): Promise<void> {
    const record = kept.peek().get(courseId);
    if (!caches || !whose || !record) return;
    const cache = await caches.open(cacheName(whose));
    // The note last: a page that dies here still shows what is left to free.
    for (const path of record.paths) await cache.delete(path, { ignoreVary: true });
    await cache.delete(NOTE + encodeURIComponent(courseId));
    note(courseId, undefined);
    await look();
  }

  /** Reads what is kept, and how much room there is. */
  async function look(): Promise<void> {
    const owner = whose;
    const found = new Map<string, KeptCourse>();
    try {
      if (owner && (await caches?.has(cacheName(owner)))) {
        const cache = await caches?.open(cacheName(owner));
        for (const request of (await cache?.keys()) ?? []) {
          if (!new URL(request.url).pathname.startsWith(NOTE)) continue;
          const record = (await (await cache?.match(request))?.json()) as KeptCourse | undefined;
          if (record) found.set(record.courseId, record);
        }
      }
    } catch {
      // A note that can't be read: the course is not shown as kept, and can be stored anew.
    }
    if (owner === whose) kept.value = found;
    await measure();
  }

  async function measure(): Promise<void> {
    const { usage, quota } = (await storage?.estimate?.().catch(() => undefined)) ?? {};
    const persisted = await storage?.persisted?.().catch(() => undefined);
    room.value = { persisted, usedBytes: usage, ofBytes: quota };
  }

  let asked = false;
  async function persist(): Promise<void> {
    if (asked) return;
    asked = true;
    if (!(await storage?.persisted?.().catch(() => false))) await storage?.persist?.().catch(() => false);
    await measure();
  }

  return {
    kept: kept as ReadonlySignal<ReadonlyMap<string, KeptCourse>>,
    keeping: keeping as ReadonlySignal<ReadonlyMap<string, Keeping>>,
    room: room as ReadonlySignal<Room>,
    keep,
    free,
    look,
    /** Asks the browser not to clear this site's data by itself; once for each opening of the page. */
    persist,

    /** Somebody is here, or nobody. */
    belongTo(owner: Whose | undefined): void {
      whose = owner;
      kept.value = new Map();
      keeping.value = new Map();
      void look();
    },
  };
}

/** A figure is no JSON; that it is the portal's own is what the worker's word says. */
const anything: Believe<true> = () => true;

async function sizeOf(cache: Cache, paths: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const path of paths) {
    const answer = await cache.match(path, { ignoreVary: true });
    bytes += (await answer?.blob())?.size ?? 0;
  }
  return bytes;
}
