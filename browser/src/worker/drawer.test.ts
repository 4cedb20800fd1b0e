import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { nameOf } from "../outbox/name";
import { fakeCaches } from "../wire/rig";
import { HERE_CACHE, HERE_URL, markOf } from "../wire/worker-words";
import { drawerOf as drawerWith, whoIsHere } from "./drawer";

const ADA = { orgId: "tidewater", userId: "ada" };
const CLEO = { orgId: "highland", userId: "cleo" };
const PATH = "http://portal.test/api/client/courses";
const HERE_AT = `http://portal.test${HERE_URL}`;
const NOW = Date.parse("2031-05-01T12:00:00Z");
const drawerOf = (whose: typeof ADA, shelf: "reads" | "figures", now: () => number) =>
  drawerWith(whose, shelf, now, async () => {});
const answer = (whose = ADA) => new Response("[]", { headers: { "X-Holdfast-Principal": markOf(whose) } });

describe("a person's drawer", () => {
  let world: ReturnType<typeof fakeCaches>;
  const enter = async (whose: typeof ADA) =>
    (await world.caches.open(HERE_CACHE)).put(HERE_URL, new Response(markOf(whose)));

  beforeEach(async () => {
    world = fakeCaches();
    vi.stubGlobal("caches", world.caches);
    await enter(ADA);
  });
  afterEach(() => void vi.unstubAllGlobals());

  it("gives back what was put in, with the time it was", async () => {
    const drawer = drawerOf(ADA, "reads", () => NOW);
    expect(await drawer.held(PATH)).toBeUndefined();
    expect(await drawer.keep(PATH, answer(), false)).toBe(true);
    const held = await drawer.held(PATH);
    expect(held?.headers.get("X-Holdfast-Stored-At")).toBe("2031-05-01T12:00:00.000Z");
    expect(await held?.text()).toBe("[]");
    await drawer.drop(PATH);
    expect(await drawer.held(PATH)).toBeUndefined();
  });

  it("holds nothing for somebody who is not here", async () => {
    expect(await whoIsHere()).toEqual(ADA);
    expect(await drawerOf(CLEO, "reads", () => NOW).keep(PATH, answer(CLEO), false)).toBe(false);
    expect(Object.keys(world.held())).toEqual([HERE_CACHE]);
  });

  it("holds what came before its person was said to be here", async () => {
    const drawer = drawerWith(
      CLEO,
      "reads",
      () => NOW,
      async (ms) => {
        if (ms > 100) await enter(CLEO);
      },
    );
    expect(await drawer.keep(PATH, answer(CLEO), false)).toBe(true);
    expect(await drawer.held(PATH)).toBeDefined();
  });

  it("shows nothing that says it is somebody else's", async () => {
    const cache = await world.caches.open(`${nameOf(ADA)}-reads`);
    await cache.put(PATH, answer(CLEO));
    expect(await drawerOf(ADA, "reads", () => NOW).held(PATH)).toBeUndefined();
  });

  it("is swept away again when its person left while something was put in", async () => {
    const cache = await world.caches.open(`${nameOf(ADA)}-reads`);
    const put = cache.put.bind(cache);
    cache.put = async (...what) => {
      await put(...what);
      await world.caches.delete(HERE_CACHE);
    };
    expect(await drawerOf(ADA, "reads", () => NOW).keep(PATH, answer(), false)).toBe(false);
    expect(world.held()).toEqual({});
  });

  it("stays as it was when an answer comes after its person's session has ended", async () => {
    const drawer = drawerOf(ADA, "reads", () => NOW);
    await drawer.keep(PATH, answer(), true);
    await world.caches.delete(HERE_CACHE);
    const put = vi.spyOn(await world.caches.open(`${nameOf(ADA)}-kept`), "put");
    expect(await drawer.keep(PATH, answer(), false)).toBe(false);
    expect(await drawer.keep(`${PATH}/late`, answer(), true)).toBe(false);
    expect(put).not.toHaveBeenCalled();
    expect(world.held()).toEqual({ [`${nameOf(ADA)}-kept`]: [PATH] });
  });

  it("says so when there is no room", async () => {
    world.room.left = 0;
    expect(await drawerOf(ADA, "reads", () => NOW).keep(PATH, answer(), true)).toBe(false);
  });

  it("keeps what was chosen in its own place, and renews it there", async () => {
    const drawer = drawerOf(ADA, "reads", () => NOW);
    await drawer.keep(PATH, answer(), false);
    await drawer.keep(PATH, answer(), true);
    await drawer.keep(PATH, answer(), false);
    expect(world.held()).toEqual({ [HERE_CACHE]: [HERE_AT], [`${nameOf(ADA)}-kept`]: [PATH] });
  });

  it("lets the oldest go, and never what was chosen", async () => {
    const drawer = drawerOf(ADA, "reads", () => NOW);
    await drawer.keep(`${PATH}/chosen`, answer(), true);
    for (let number = 0; number < 302; number += 1) await drawer.keep(`${PATH}/${number}`, answer(), false);
    const held = world.held();
    expect(held[`${nameOf(ADA)}-reads`]).toHaveLength(300);
    expect(held[`${nameOf(ADA)}-reads`]).not.toContain(`${PATH}/1`);
    expect(held[`${nameOf(ADA)}-reads`]).toContain(`${PATH}/301`);
    expect(held[`${nameOf(ADA)}-kept`]).toEqual([`${PATH}/chosen`]);
  });
});
