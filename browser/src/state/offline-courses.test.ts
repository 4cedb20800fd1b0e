import { beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { nameOf } from "../outbox/name";
import { createWire } from "../wire/client";
import { fakeCaches } from "../wire/rig";
import { createOfflineCourses } from "./offline-courses";

const ADA = { orgId: "tidewater", userId: "ada" };
const COURSE = "/api/client/courses/tides";
const FIGURE = `${COURSE}/assets/curve.svg`;
const lesson = (id: string, html = "") => ({
  id,
  courseId: "tides",
  title: id,
  html,
  progress: {},
  answers: [],
});
const PORTAL: Record<string, unknown> = {
  [COURSE]: { id: "tides", title: "Reading the tide", lessons: [{ id: "one" }, { id: "two" }] },
  [`${COURSE}/lessons/one`]: lesson("one", `<img src="${FIGURE}">`),
  [`${COURSE}/lessons/two`]: lesson("two"),
  [FIGURE]: "<svg>",
};

describe("a course kept on the device", () => {
  let world: ReturnType<typeof fakeCaches>;
  let missing: Set<string>;
  let word: string | undefined;
  let asked: string[];
  /** What is answered only when a test says so. */
  let hold: { at: string; until: Promise<void> } | undefined;
  const persist = vi.fn(async () => true);

  /** A portal behind a worker that stores what it is asked to keep. */
  async function fetch(path: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const at = String(path);
    asked.push(at);
    if (hold?.at === at) await hold.until;
    if (missing.has(at)) throw new TypeError("Failed to fetch");
    expect(new Headers(init?.headers).get("X-Holdfast-Keep")).toBe("1");
    const said = PORTAL[at];
    const body = typeof said === "string" ? said : JSON.stringify(said);
    if (word === "yes") await (await world.caches.open(`${nameOf(ADA)}-kept`)).put(at, new Response(body));
    return new Response(body, { headers: word === undefined ? {} : { "X-Holdfast-Kept": word } });
  }

  function open() {
    const offline = createOfflineCourses({
      wire: createWire({ fetch, clock: systemClock, csrfToken: () => undefined }),
      caches: world.caches,
      storage: { persist, persisted: async () => false, estimate: async () => ({ usage: 7, quota: 70 }) },
      clock: systemClock,
    });
    offline.belongTo(ADA);
    return offline;
  }

  beforeEach(() => {
    world = fakeCaches();
    missing = new Set();
    word = "yes";
    asked = [];
    hold = undefined;
    persist.mockClear();
  });

  it("is its page, its lessons and their figures, and says how large it is and since when", async () => {
    const offline = open();
    await offline.keep("tides");
    expect(asked).toEqual([COURSE, `${COURSE}/lessons/one`, FIGURE, `${COURSE}/lessons/two`]);
    const kept = offline.kept.value.get("tides");
    expect(kept).toMatchObject({ title: "Reading the tide", lessons: 2, paths: asked });
    const bytes = asked.map((at) => {
      const said = PORTAL[at];
      return (typeof said === "string" ? said : JSON.stringify(said)).length;
    });
    expect(kept?.bytes).toBe(bytes.reduce((sum, one) => sum + one));
    expect(Date.parse(kept?.keptAt ?? "")).toBeLessThanOrEqual(Date.now());
    expect(offline.keeping.value.size).toBe(0);
  });

  it("is still known when the page is opened again", async () => {
    await open().keep("tides");
    const again = open();
    await vi.waitFor(() => expect(again.kept.value.has("tides")).toBe(true));
  });

  it("is not called kept while a part is missing, and can be tried again", async () => {
    const offline = open();
    missing.add(FIGURE);
    await offline.keep("tides");
    expect(offline.kept.value.size).toBe(0);
    expect(offline.keeping.value.get("tides")).toEqual({ name: "failed", why: "noAnswer" });
    missing.clear();
    await offline.keep("tides");
    expect(offline.kept.value.has("tides")).toBe(true);
  });

  it.each<[string | undefined, string]>([
    [undefined, "noAnswer"],
    ["no", "noRoom"],
  ])("is not called kept without the worker's word: %s", async (said, why) => {
    word = said;
    const offline = open();
    await offline.keep("tides");
    expect(offline.keeping.value.get("tides")).toEqual({ name: "failed", why });
    expect(offline.kept.value.size).toBe(0);
  });

  it("is freed, whole", async () => {
    const offline = open();
    await offline.keep("tides");
    await offline.free("tides");
    expect(offline.kept.value.size).toBe(0);
    expect(Object.values(world.held()).flat()).toEqual([]);
  });

  it("belongs to who kept it", async () => {
    const offline = open();
    await offline.keep("tides");
    offline.belongTo({ orgId: "highland", userId: "cleo" });
    await offline.look();
    expect(offline.kept.value.size).toBe(0);
    offline.belongTo(ADA);
    await vi.waitFor(() => expect(offline.kept.value.has("tides")).toBe(true));
  });

  it.each([
    ["one of its lessons", `${COURSE}/lessons/one`],
    ["a figure", FIGURE],
  ])(
    "is not stored any further once somebody else is here, who is told nothing of it: %s",
    async (_, last) => {
      const offline = open();
      let come: () => void = () => {};
      hold = { at: last, until: new Promise((resolve) => (come = resolve)) };
      const keeping = offline.keep("tides");
      await vi.waitFor(() => expect(asked.at(-1)).toBe(last));
      offline.belongTo({ orgId: "highland", userId: "cleo" });
      come();
      await keeping;
      expect(asked.at(-1)).toBe(last);
      expect(offline.keeping.value.size).toBe(0);
    },
  );

  it("is not called failed for who is here because it failed for who was", async () => {
    const offline = open();
    let come: () => void = () => {};
    hold = { at: FIGURE, until: new Promise((resolve) => (come = resolve)) };
    missing.add(FIGURE);
    const keeping = offline.keep("tides");
    await vi.waitFor(() => expect(asked.at(-1)).toBe(FIGURE));
    offline.belongTo({ orgId: "highland", userId: "cleo" });
    come();
    await keeping;
    expect(offline.keeping.value.size).toBe(0);
  });

  it("is a moment to ask the browser to keep it, once, and what it says is told", async () => {
    const offline = open();
    await offline.keep("tides");
    await offline.keep("tides");
    expect(persist).toHaveBeenCalledOnce();
    expect(offline.room.value).toEqual({ persisted: false, usedBytes: 7, ofBytes: 70 });
  });
});
