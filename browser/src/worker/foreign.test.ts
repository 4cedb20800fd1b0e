import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Draft, type Parts, passOn } from "./foreign";

const ID = "01890a5d-ac96-774b-bcce-b302099a8057";
const OTHER = "01890a5d-ac96-774b-bcce-b302099a8058";
const ADA = { orgId: "tidewater", userId: "ada" };
const event = (more = {}) => ({ id: ID, kind: "lesson.completed", body: { lessonId: "l" }, ...more });
const posted = (body: unknown) =>
  new Request("http://portal.test/api/client/progress", {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

function rig(more: Partial<Parts> = {}) {
  return {
    network: vi.fn(async (_request: Request): Promise<Response> => {
      throw new TypeError("Failed to fetch");
    }),
    whose: async () => ADA,
    keep: vi.fn(async (_whose: unknown, drafts: readonly Draft[]) => new Set(drafts.map(({ id }) => id))),
    ...more,
  };
}

describe("an event that did not come from the outbox", () => {
  it("is passed on, and its sender hears the server itself", async () => {
    for (const status of [202, 403, 503]) {
      const parts = rig({ network: async () => new Response("{}", { status }) });
      expect((await passOn(posted(event()), parts)).status).toBe(status);
      expect(parts.keep).not.toHaveBeenCalled();
    }
  });

  it("goes into the outbox when the server can't be reached, and its sender hears that it is on this device", async () => {
    const parts = rig();
    const answer = await passOn(
      posted({ deviceId: "d", csrfToken: "t", events: [event(), event({ id: OTHER })] }),
      parts,
    );
    expect(answer.status).toBe(202);
    const { receipts } = await answer.json();
    expect(receipts).toMatchObject([
      { id: ID, status: "later", code: "on_device" },
      { id: OTHER, status: "later", code: "on_device" },
    ]);
    const draft = { id: ID, kind: "lesson.completed", payload: '{"lessonId":"l"}' };
    expect(parts.keep).toHaveBeenCalledWith(ADA, [draft, { ...draft, id: OTHER }]);
  });

  describe("says when it happened", () => {
    beforeEach(() => void vi.useFakeTimers({ now: Date.parse("2026-11-23T08:00:00Z") }));
    afterEach(() => void vi.useRealTimers());

    it.each([
      ["2026-11-22T07:30:00Z", "2026-11-22T07:30:00.000Z"],
      ["2026-11-22T09:30:00.250+02:00", "2026-11-22T07:30:00.250Z"],
      // Not after it is kept, not at a time without a place, and not at no time at all.
      ["2026-11-24T00:00:00Z", undefined],
      ["2026-11-22T07:30:00", undefined],
      ["2026-13-22T07:30:00Z", undefined],
      ["yesterday", undefined],
      [1_763_000_000_000, undefined],
      [undefined, undefined],
    ])("and so does its entry, where that can be believed: %s", async (occurredAt, createdAt) => {
      let kept: readonly Draft[] = [];
      const keep = async (_whose: unknown, drafts: readonly Draft[]) => {
        kept = drafts;
        return new Set([ID]);
      };
      await passOn(posted(event({ occurredAt })), rig({ keep }));
      expect(kept.map((draft) => draft.createdAt)).toEqual([createdAt]);
    });
  });

  it("is taken alone, too, as the address for one event does", async () => {
    const answer = await passOn(posted(event({ orgId: "tidewater" })), rig());
    expect((await answer.json()).receipts).toHaveLength(1);
  });

  it("is not called kept where another org is named, or where it could not be kept", async () => {
    const mixed = [event(), event({ id: OTHER, orgId: "highland" })];
    const { receipts } = await (await passOn(posted({ events: mixed }), rig())).json();
    expect(receipts.map(({ code }: { code: string }) => code)).toEqual(["on_device", "not_kept"]);
    const full = rig({ keep: vi.fn(async () => new Set<string>()) });
    expect((await passOn(posted(event()), full)).type).toBe("error");
    const broken = rig({ keep: vi.fn(() => Promise.reject(new Error("no storage"))) });
    expect((await passOn(posted(event()), broken)).type).toBe("error");
  });

  it("fails as the network did when nobody is known to be here", async () => {
    const parts = rig({ whose: async () => undefined });
    expect((await passOn(posted(event()), parts)).type).toBe("error");
    expect(parts.keep).not.toHaveBeenCalled();
  });

  it.each([
    "no json",
    "[]",
    "{}",
    '{"events":[]}',
    JSON.stringify({ events: [event(), { id: "x" }] }),
    JSON.stringify(event({ id: "not-an-id" })),
    JSON.stringify(event({ body: null })),
    JSON.stringify(event({ kind: 3 })),
  ])("is no half batch: what can't be understood fails whole: %s", async (text) => {
    const parts = rig();
    expect((await passOn(posted(text), parts)).type).toBe("error");
    expect(parts.keep).not.toHaveBeenCalled();
  });
});

describe("a line that hangs", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("counts as out of reach after a while: the same id can be sent again at no risk", async () => {
    const parts = rig({ network: () => new Promise(() => {}) });
    const answer = passOn(posted(event()), parts);
    await vi.advanceTimersByTimeAsync(20_000);
    expect((await answer).status).toBe(202);
  });
});
