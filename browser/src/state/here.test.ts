import { describe, expect, it, vi } from "vitest";
import { nameOf } from "../outbox/name";
import { fakeCaches } from "../wire/rig";
import type { Principal } from "../wire/shapes";
import { createHere } from "./here";
import type { SessionState } from "./session";

const ADA = { orgId: "tidewater", userId: "ada" } as Principal;
const CLEO = { orgId: "highland", userId: "cleo" } as Principal;
const whose = (principal: Principal) => ({ orgId: principal.orgId ?? "", userId: principal.userId });
const isIn = (principal: Principal) => ({ phase: "in", session: { principal } }) as SessionState;

async function holding(...people: Principal[]) {
  const world = fakeCaches();
  for (const one of people)
    await (await world.caches.open(`${nameOf(whose(one))}-reads`)).put("/x", new Response());
  await world.caches.open("workbox-precache-v2");
  return { ...world, names: () => Object.keys(world.held()).sort() };
}

describe("who is here", () => {
  it("is told to the worker, and what anybody else read is swept away", async () => {
    const { caches, names } = await holding(ADA, CLEO);
    await createHere(caches).follow(isIn(CLEO));
    expect(names()).toEqual([`${nameOf(whose(CLEO))}-reads`, "holdfast-here", "workbox-precache-v2"].sort());
    expect(await (await caches.match("/here", { cacheName: "holdfast-here" }))?.text()).toBe("highland/cleo");
  });

  it("is nobody after a sign-out, and nothing of anybody's stays", async () => {
    const { caches, names } = await holding(ADA);
    const here = createHere(caches);
    await here.follow(isIn(ADA));
    await here.follow({ phase: "out", farewell: "told" });
    expect(names()).toEqual(["workbox-precache-v2"]);
  });

  it("is nobody when the server ended the session, but what they kept waits for them", async () => {
    const { caches, names } = await holding(ADA);
    const here = createHere(caches);
    await here.follow(isIn(ADA));
    await here.follow({ phase: "out", last: ADA });
    expect(names()).toEqual([`${nameOf(whose(ADA))}-reads`, "workbox-precache-v2"]);
  });

  it.each<SessionState>([{ phase: "asking" }, { phase: "unknown", problem: {} as never }])(
    "is not guessed while it is not known: $phase",
    async (state) => {
      const { caches, names } = await holding(ADA);
      const before = names();
      await createHere(caches).follow(state);
      expect(names()).toEqual(before);
    },
  );

  it("is whoever came last, however fast they come and go", async () => {
    const { caches } = await holding();
    const here = createHere(caches);
    await Promise.all([here.follow(isIn(ADA)), here.follow({ phase: "out" }), here.follow(isIn(CLEO))]);
    expect(await (await caches.match("/here", { cacheName: "holdfast-here" }))?.text()).toBe("highland/cleo");
  });

  it("is not written anew by a reload: in that moment the worker would find nobody here", async () => {
    const { caches } = await holding();
    await createHere(caches).follow(isIn(ADA));
    const put = vi.spyOn(await caches.open("holdfast-here"), "put");
    await createHere(caches).follow(isIn(ADA));
    expect(put).not.toHaveBeenCalled();
    await createHere(caches).follow(isIn(CLEO));
    expect(put).toHaveBeenCalledOnce();
  });

  it("needs no caches", async () => {
    await expect(createHere(undefined).follow(isIn(ADA))).resolves.toBeUndefined();
  });
});
