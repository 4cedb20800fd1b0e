import { describe, expect, it, vi } from "vitest";
import { deviceFirst, FIGURE_FRESH_MS, type Parts, serverFirst } from "./answers";

const NOW = Date.parse("2031-05-01T12:00:00Z");
const request = (headers: Record<string, string> = {}) =>
  new Request("http://portal.test/api/client/x", { headers });

const answer = (text: string, headers: Record<string, string> = {}, status = 200) =>
  new Response(status === 304 ? null : text, {
    status,
    headers: { "X-Holdfast-Principal": "o/u", ...headers },
  });
const refusal = (status: number, type = "application/problem+json") =>
  new Response("{}", { status, headers: { "Content-Type": type } });

function rig(held: Response | undefined, network: Parts["network"], more: Partial<Parts> = {}) {
  const works: Promise<unknown>[] = [];
  const parts = {
    asker: "o/u",
    now: () => NOW,
    held: async () => held,
    drop: vi.fn(async () => {}),
    sleep: () => new Promise<void>(() => {}),
    later: (work: Promise<unknown>) => void works.push(work),
    ...more,
    network: vi.fn(network),
    keep: vi.fn(more.keep ?? (async () => true)),
  };
  return { parts, done: () => Promise.all(works) };
}

const offline = () => Promise.reject(new TypeError("Failed to fetch"));
const here = (headers = {}) => answer("here", { ETag: '"a"', "X-Data-As-Of": "09:00", ...headers });

describe("the server's word first", () => {
  it("is shown and stored", async () => {
    const { parts, done } = rig(here(), async () => answer("there"));
    const shown = await serverFirst(request(), parts);
    await done();
    expect(await shown.text()).toBe("there");
    expect(shown.headers.get("X-Holdfast-From")).toBeNull();
    expect(await parts.keep.mock.calls[0]?.[0].text()).toBe("there");
  });

  it("is asked for only if it changed, and what is here is as new as the server says then", async () => {
    const { parts } = rig(here(), async () => answer("", { "X-Data-As-Of": "12:00" }, 304));
    const shown = await serverFirst(request(), parts);
    expect(parts.network.mock.calls[0]?.[0].headers.get("If-None-Match")).toBe('"a"');
    expect([await shown.text(), shown.headers.get("X-Data-As-Of")]).toEqual(["here", "12:00"]);
    expect(shown.headers.get("X-Holdfast-From")).toBeNull();
  });

  it.each<[string, Parts["network"]]>([
    ["the network is gone", offline],
    ["the server is out", async () => refusal(503)],
    ["a proxy answers for it", async () => refusal(502, "text/html")],
    ["it asks for a slower pace", async () => refusal(429)],
    ["a captive portal says 200", async () => new Response("<html>", { status: 200 })],
    ["a captive portal says 403", async () => refusal(403, "text/html")],
  ])("is replaced by what is here, with its age, when %s", async (_, network) => {
    const { parts } = rig(here(), network);
    const shown = await serverFirst(request(), parts);
    expect(await shown.text()).toBe("here");
    expect(shown.headers.get("X-Holdfast-From")).toBe("cache");
    expect(shown.headers.get("X-Data-As-Of")).toBe("09:00");
    expect(parts.keep).not.toHaveBeenCalled();
  });

  it("is not waited for longer than a reader has patience, and stored when it comes", async () => {
    let come: (late: Response) => void = () => {};
    const slow = new Promise<Response>((resolve) => {
      come = resolve;
    });
    const { parts, done } = rig(here(), () => slow, { sleep: async () => {} });
    const shown = await serverFirst(request(), parts);
    expect(shown.headers.get("X-Holdfast-From")).toBe("cache");
    come(answer("late"));
    await done();
    expect(parts.keep).toHaveBeenCalledOnce();
  });

  it("makes what is here as new as it says, also when it comes after the reader's patience", async () => {
    let come: (late: Response) => void = () => {};
    const slow = new Promise<Response>((resolve) => {
      come = resolve;
    });
    const { parts, done } = rig(here(), () => slow, { sleep: async () => {} });
    const shown = await serverFirst(request(), parts);
    expect([await shown.text(), shown.headers.get("X-Data-As-Of")]).toEqual(["here", "09:00"]);
    come(answer("", { "X-Data-As-Of": "12:00" }, 304));
    await done();
    const kept = parts.keep.mock.calls[0]?.[0];
    expect([await kept?.text(), kept?.headers.get("X-Data-As-Of")]).toEqual(["here", "12:00"]);
  });

  it("is waited for, however long, where nothing is here", async () => {
    const { parts } = rig(undefined, async () => answer("there"), { sleep: async () => {} });
    expect(await (await serverFirst(request(), parts)).text()).toBe("there");
  });

  it("is a failure where nothing comes and nothing is here", async () => {
    const { parts } = rig(undefined, offline);
    expect((await serverFirst(request(), parts)).type).toBe("error");
    const out = rig(undefined, async () => refusal(503));
    expect((await serverFirst(request(), out.parts)).status).toBe(503);
  });

  it.each([401, 409])("stands when it says %i, and what is here stays", async (status) => {
    const { parts } = rig(here(), async () => refusal(status));
    expect((await serverFirst(request(), parts)).status).toBe(status);
    expect(parts.drop).not.toHaveBeenCalled();
  });

  it.each([403, 404, 410])("takes what is here away when it says %i", async (status) => {
    const { parts, done } = rig(here(), async () => refusal(status));
    expect((await serverFirst(request(), parts)).status).toBe(status);
    await done();
    expect(parts.drop).toHaveBeenCalledOnce();
  });

  it("is passed on and not stored when it is for somebody else", async () => {
    const { parts } = rig(here(), async () => answer("theirs", { "X-Holdfast-Principal": "o/other" }));
    expect(await (await serverFirst(request(), parts)).text()).toBe("theirs");
    expect(parts.keep).not.toHaveBeenCalled();
  });
});

describe("keeping for offline", () => {
  const keeping = () => request({ "X-Holdfast-Keep": "1" });

  it("is confirmed once it is stored, and only then", async () => {
    const { parts } = rig(undefined, async () => answer("there"));
    expect((await serverFirst(keeping(), parts)).headers.get("X-Holdfast-Kept")).toBe("yes");
    expect(parts.keep).toHaveBeenCalledWith(expect.anything(), true);
    const full = rig(undefined, async () => answer("there"), { keep: async () => false });
    expect((await serverFirst(keeping(), full.parts)).headers.get("X-Holdfast-Kept")).toBe("no");
  });

  it("is not confirmed by what is here already", async () => {
    const { parts } = rig(here({ "X-Holdfast-Kept": "yes" }), offline);
    expect((await serverFirst(keeping(), parts)).headers.get("X-Holdfast-Kept")).toBeNull();
  });

  it("waits for the server longer than a reader does", async () => {
    const { parts } = rig(here(), async () => answer("there"), { sleep: async () => {} });
    expect(await (await serverFirst(keeping(), parts)).text()).toBe("there");
  });

  it("moves a figure that is here into what is kept, without asking anybody", async () => {
    const { parts } = rig(here({ "X-Holdfast-Stored-At": new Date(NOW).toISOString() }), offline);
    const shown = await deviceFirst(keeping(), parts);
    expect([await shown.text(), shown.headers.get("X-Holdfast-Kept")]).toEqual(["here", "yes"]);
    expect(parts.network).not.toHaveBeenCalled();
  });
});

describe("a figure", () => {
  const storedAgo = (ms: number) => here({ "X-Holdfast-Stored-At": new Date(NOW - ms).toISOString() });

  it("that lies here is shown at once", async () => {
    const { parts } = rig(storedAgo(1_000), offline);
    expect(await (await deviceFirst(request(), parts)).text()).toBe("here");
    expect(parts.network).not.toHaveBeenCalled();
  });

  it("that has lain here for long is shown, and looked after behind the scenes", async () => {
    const { parts, done } = rig(storedAgo(FIGURE_FRESH_MS + 1), async () => answer("newer"));
    expect(await (await deviceFirst(request(), parts)).text()).toBe("here");
    await done();
    expect(await parts.keep.mock.calls[0]?.[0].text()).toBe("newer");
  });

  it("that does not lie here is fetched and stored", async () => {
    const { parts, done } = rig(undefined, async () => answer("there"));
    expect(await (await deviceFirst(request(), parts)).text()).toBe("there");
    await done();
    expect(parts.keep).toHaveBeenCalledOnce();
  });
});
