import { describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
import { type Problem, problemFrom, unreachable } from "../core/problem";
import type { Answer } from "../wire/client";
import type { Session } from "../wire/shapes";
import { keepIn } from "./keep";
import { storageOf } from "./rig";
import { createSession, type SessionCalls } from "./session";

const sessionOf = (userId: string, csrfToken: string): Session => ({
  principal: { userId, orgId: "tidewater", orgs: [], roles: ["admin"], email: "", name: userId },
  csrfToken,
  demo: true,
});
const yes = <T>(value: T): Answer<T> => ({ ok: true, value });
const no = (problem: Problem): Answer<never> => ({ ok: false, problem });
const csrfRefused = problemFrom(
  { status: 403, contentType: "application/problem+json", retryAfter: null },
  '{"code": "csrf_refused"}',
  0,
);

/** Ada's page, signed in; the server says by now that this session is there. */
async function page(now: Session) {
  const calls = {
    session: async () => yes(now),
    login: async () => yes(sessionOf("ada", "first")),
    logout: async () => yes(null),
  } as SessionCalls;
  const { storage } = storageOf();
  const session = createSession(
    calls,
    keepIn(() => storage),
    systemClock,
  );
  await session.signIn("ada", "secret");
  /** A change that the server takes only with this token. */
  const changeWith = (good: string) =>
    vi.fn(async () => (session.session.peek()?.csrfToken === good ? yes("done") : no(csrfRefused)));
  return { session, changeWith };
}

describe("a change that goes straight to the server", () => {
  it("goes through after the same person signed in again in another tab", async () => {
    const { session, changeWith } = await page(sessionOf("ada", "newer"));
    const send = changeWith("newer");
    expect(await session.change(send)).toEqual(yes("done"));
    expect(send).toHaveBeenCalledTimes(2);
    expect(await session.change(send)).toEqual(yes("done"));
    expect(send).toHaveBeenCalledTimes(3);
  });

  it("is never made in the name of somebody else, who signed in in another tab", async () => {
    const { session, changeWith } = await page(sessionOf("cal", "of cal"));
    const send = changeWith("of cal");
    expect(await session.change(send)).toEqual(no(csrfRefused));
    expect(send).toHaveBeenCalledTimes(1);
  });

  it("is sent once more at most, and only when its token was refused", async () => {
    const { session, changeWith } = await page(sessionOf("ada", "newer"));
    const send = changeWith("none at all");
    expect(await session.change(send)).toEqual(no(csrfRefused));
    expect(send).toHaveBeenCalledTimes(2);

    const lost = vi.fn(async () => no(unreachable("no answer")));
    expect(await session.change(lost)).toMatchObject({ problem: { family: "unreachable" } });
    expect(lost).toHaveBeenCalledTimes(1);
  });

  it("is known to be on its way until its last answer is here, so that no new version cuts it off", async () => {
    const { session, changeWith } = await page(sessionOf("ada", "newer"));
    const send = changeWith("newer");
    const seen: boolean[] = [];
    const done = session.change(() => {
      seen.push(session.isChanging());
      return send();
    });
    expect(session.isChanging()).toBe(true);
    await done;
    expect([seen, session.isChanging()]).toEqual([[true, true], false]);
    const broken = session.change(() => Promise.reject(new Error("no file")));
    await expect(broken).rejects.toThrow("no file");
    expect(session.isChanging()).toBe(false);
  });
});
