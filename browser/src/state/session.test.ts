import { describe, expect, it, vi } from "vitest";
import { type Problem, unreachable } from "../core/problem";
import type { Answer } from "../wire/client";
import type { Session } from "../wire/shapes";
import { keepIn } from "./keep";
import { createSession } from "./session";

const sessionOf = (userId: string): Session => ({
  principal: {
    userId,
    orgId: "tidewater",
    orgs: [],
    roles: ["learner"],
    email: `${userId}@x.example`,
    name: userId,
  },
  csrfToken: `token-of-${userId}`,
  demo: true,
});
const yes = <T>(value: T): Answer<T> => ({ ok: true, value });
const no = (problem: Problem): Answer<never> => ({ ok: false, problem });
const signedOut: Problem = {
  family: "signIn",
  status: 401,
  code: "signed_out",
  title: "Please sign in",
  detail: "",
  hint: "",
};

function open() {
  const memory = new Map<string, string>();
  const storage = {
    getItem: (key: string) => memory.get(key) ?? null,
    setItem: (key: string, value: string) => void memory.set(key, value),
    removeItem: (key: string) => void memory.delete(key),
  } as unknown as Storage;
  const calls = {
    session: vi.fn(async (): Promise<Answer<Session>> => no(signedOut)),
    login: vi.fn(async (email: string): Promise<Answer<Session>> => yes(sessionOf(email))),
    logout: vi.fn(async (): Promise<Answer<null>> => yes(null)),
  };
  const tab = () =>
    createSession(
      calls as unknown as Parameters<typeof createSession>[0],
      keepIn(() => storage),
    );
  return { calls, tab };
}

describe("the session of a page", () => {
  it("says nobody is signed in only when the server says so", async () => {
    const { calls, tab } = open();
    const session = tab();
    calls.session.mockResolvedValueOnce(no(unreachable("no answer")));
    await session.ask();
    expect(session.state.value.phase).toBe("unknown");
    await session.ask();
    expect(session.state.value.phase).toBe("out");
  });

  it("keeps its person when it expires, so that their events stay theirs", async () => {
    const session = open().tab();
    await session.signIn("ada", "secret");
    session.expire();
    expect(session.signedIn.value).toBe(false);
    expect(session.owner.value).toEqual({ userId: "ada", orgId: "tidewater" });
  });

  it("forgets nobody because one answer did not come", async () => {
    const { calls, tab } = open();
    const session = tab();
    await session.signIn("ada", "secret");
    calls.session.mockResolvedValueOnce(no(unreachable("no answer")));
    await session.ask();
    expect(session.signedIn.value).toBe(true);
  });

  it("notices that another tab signed somebody else in", async () => {
    const { tab } = open();
    const first = tab();
    const second = tab();
    await first.signIn("ada", "secret");
    const ada = { userId: "ada", orgId: "tidewater" };
    expect(first.stillCurrent(ada)).toBe(true);
    await second.signIn("cal", "secret");
    expect(first.stillCurrent(ada)).toBe(false);
  });

  it("does not hear an old answer after somebody signed in", async () => {
    const { calls, tab } = open();
    const session = tab();
    let answer: (late: Answer<Session>) => void = () => {};
    calls.session.mockReturnValueOnce(
      new Promise((resolve) => {
        answer = resolve;
      }),
    );
    const asked = session.ask();
    await session.signIn("ada", "secret");
    answer(no(signedOut));
    await asked;
    expect(session.signedIn.value).toBe(true);
  });

  it("is not over before the server has ended it", async () => {
    const { calls, tab } = open();
    const session = tab();
    await session.signIn("ada", "secret");
    calls.logout.mockResolvedValueOnce(no(unreachable("no answer")));
    expect(await session.signOut()).toMatchObject({ family: "unreachable" });
    expect(session.signedIn.value).toBe(true);
    expect(await session.signOut()).toBeUndefined();
    expect(session.state.value.phase).toBe("out");
  });
});
