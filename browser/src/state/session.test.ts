import { describe, expect, it, vi } from "vitest";
import { systemClock } from "../core/clock";
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
      systemClock,
    );
  return { calls, tab, memory };
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

  it("does not hear what was asked with the old cookie while the sign-in was on its way", async () => {
    const { calls, tab } = open();
    const session = tab();
    await session.signIn("ada", "secret");
    session.expire();
    let enterAgain: (answer: Answer<Session>) => void = () => {};
    let answer: (late: Answer<Session>) => void = () => {};
    calls.login.mockReturnValueOnce(new Promise((resolve) => (enterAgain = resolve)));
    calls.session.mockReturnValueOnce(new Promise((resolve) => (answer = resolve)));
    const signedIn = session.signIn("ada", "secret");
    const asked = session.ask();
    enterAgain(yes(sessionOf("ada")));
    await signedIn;
    answer(no(signedOut));
    await asked;
    expect(session.signedIn.value).toBe(true);
  });

  it("goes on with the last known person when the server can't be asked, without any token", async () => {
    const { calls, tab, memory } = open();
    await tab().signIn("ada", "secret");
    expect([...memory.values()].join()).not.toContain("token-of-ada");
    calls.session.mockResolvedValueOnce(no(unreachable("no answer")));
    const offline = tab();
    await offline.ask();
    expect(offline.state.value.phase).toBe("remembered");
    expect(offline.owner.value).toEqual({ userId: "ada", orgId: "tidewater" });
    expect(offline.session.value?.csrfToken).toBeNull();
    expect(offline.signedIn.value).toBe(false);
    calls.session.mockResolvedValueOnce(yes(sessionOf("ada")));
    await offline.ask();
    expect(offline.state.value.phase).toBe("in");
  });

  it("does not keep a known person waiting for a network that hangs", async () => {
    vi.useFakeTimers();
    try {
      const { calls, tab } = open();
      await tab().signIn("ada", "secret");
      calls.session.mockReturnValueOnce(new Promise(() => {}));
      const slow = tab();
      void slow.ask();
      expect(slow.state.value.phase).toBe("asking");
      await vi.advanceTimersByTimeAsync(3_000);
      expect(slow.state.value.phase).toBe("remembered");
    } finally {
      vi.useRealTimers();
    }
  });

  it("shows nobody's page when the server says at the start that nobody is signed in", async () => {
    const { tab } = open();
    await tab().signIn("ada", "secret");
    const later = tab();
    await later.ask();
    expect(later.state.value).toMatchObject({ phase: "out", last: { userId: "ada" } });
    expect(later.owner.value).toBeUndefined();
    // Their outbox is looked after all the same.
    expect(later.holder.value).toEqual({ userId: "ada", orgId: "tidewater" });
  });

  it("says how an unanswered question failed, to who asked", async () => {
    const { calls, tab } = open();
    calls.session.mockResolvedValueOnce(no(unreachable("no answer")));
    expect(await tab().ask()).toMatchObject({ family: "unreachable" });
    expect(await tab().ask()).toBeUndefined();
  });
});

describe("an answer that was on its way while another tab signed in or out", () => {
  /** Two tabs of Ada's, of which the first has just asked who is here. */
  async function twoTabs() {
    const { calls, tab } = open();
    const second = tab();
    await second.signIn("ada", "secret");
    const first = tab();
    calls.session.mockResolvedValueOnce(yes(sessionOf("ada")));
    await first.ask();
    let answer: (late: Answer<Session>) => void = () => {};
    calls.session.mockReturnValueOnce(
      new Promise((resolve) => {
        answer = resolve;
      }),
    );
    const asked = first.ask();
    return { calls, tab, first, second, asked, answer: (late: Answer<Session>) => answer(late) };
  }

  it("unlocks no screen that was locked meanwhile, and forgets no sign-out that is owed", async () => {
    const { calls, first, second, asked, answer } = await twoTabs();
    calls.logout.mockResolvedValue(no(unreachable("no answer")));
    await second.signOut();
    calls.session.mockResolvedValue(no(unreachable("no answer")));
    answer(yes(sessionOf("ada")));
    await asked;
    expect(first.state.value).toEqual({ phase: "out", farewell: "owed" });
    expect(first.unsettled()).toBe(true);
    expect(second.unsettled()).toBe(true);
  });

  it("brings nobody back whom somebody else has replaced", async () => {
    const { calls, first, second, asked, answer } = await twoTabs();
    await second.signOut();
    await second.signIn("cal", "secret");
    calls.session.mockResolvedValueOnce(yes(sessionOf("cal")));
    answer(yes(sessionOf("ada")));
    await asked;
    expect(first.owner.value).toMatchObject({ userId: "cal" });
    expect(second.stillCurrent({ userId: "cal", orgId: "tidewater" })).toBe(true);
  });

  it("ends nobody's session because the one before had ended", async () => {
    const { calls, first, second, asked, answer } = await twoTabs();
    await second.signIn("cal", "secret");
    calls.session.mockResolvedValueOnce(yes(sessionOf("cal")));
    answer(no(signedOut));
    await asked;
    expect(first.state.value.phase).toBe("in");
    expect(first.owner.value).toMatchObject({ userId: "cal" });
  });

  it("makes good no other debt than the one it was asked for", async () => {
    const { calls, tab, second } = await twoTabs();
    calls.logout.mockResolvedValue(no(unreachable("no answer")));
    await second.signOut();
    let answer: (late: Answer<Session>) => void = () => {};
    calls.session.mockReturnValueOnce(
      new Promise((resolve) => {
        answer = resolve;
      }),
    );
    const third = tab();
    const paying = third.ask();
    await second.signIn("cal", "secret");
    await second.signOut();
    calls.session.mockResolvedValue(no(unreachable("no answer")));
    answer(yes(sessionOf("cal")));
    await paying;
    expect(third.state.value).toEqual({ phase: "out", farewell: "owed" });
    expect(second.unsettled()).toBe(true);
  });

  it("is given up, and changes nothing, where the tabs never agree", async () => {
    const { calls, tab, memory } = open();
    const first = tab();
    await first.signIn("ada", "secret");
    let turns = 0;
    calls.session.mockImplementation(async () => {
      turns += 1;
      memory.set("holdfast.signedIn", `tidewater somebody-${turns}`);
      return yes(sessionOf("cal"));
    });
    await first.ask();
    expect(turns).toBeLessThan(5);
    expect(first.owner.value).toMatchObject({ userId: "ada" });
  });
});

describe("signing out", () => {
  it("locks the screen at once, and is called done when the server has ended the session", async () => {
    const { calls, tab } = open();
    const session = tab();
    await session.signIn("ada", "secret");
    const done = session.signOut();
    expect(session.state.value).toEqual({ phase: "out", farewell: "telling" });
    await done;
    expect(session.state.value).toEqual({ phase: "out", farewell: "told" });
    expect(calls.logout).toHaveBeenCalledExactlyOnceWith("token-of-ada");
  });

  it("is owed to the server while it can't be reached, and made good first of all later", async () => {
    const { calls, tab } = open();
    const session = tab();
    await session.signIn("ada", "secret");
    calls.logout.mockResolvedValueOnce(no(unreachable("no answer")));
    await session.signOut();
    expect(session.state.value).toEqual({ phase: "out", farewell: "owed" });
    expect(session.unsettled()).toBe(true);

    // After a restart, with the cookie still there: nobody gets in by it.
    const restarted = tab();
    calls.session.mockResolvedValueOnce(yes(sessionOf("ada")));
    await restarted.ask();
    expect(calls.logout).toHaveBeenLastCalledWith("token-of-ada");
    expect(restarted.state.value).toEqual({ phase: "out", farewell: "told" });
    expect(restarted.unsettled()).toBe(false);
  });

  it("is owed for nobody once somebody else has signed in here", async () => {
    const { calls, tab } = open();
    const session = tab();
    await session.signIn("ada", "secret");
    calls.logout.mockResolvedValueOnce(no(unreachable("no answer")));
    await session.signOut();
    calls.session.mockResolvedValueOnce(yes(sessionOf("cal")));
    await session.ask();
    expect(calls.logout).toHaveBeenCalledOnce();
    expect(session.owner.value).toMatchObject({ userId: "cal" });
    expect(session.unsettled()).toBe(false);
  });

  it("takes the page away in every tab", async () => {
    const { calls, tab } = open();
    const session = tab();
    await session.signIn("ada", "secret");
    calls.session.mockResolvedValueOnce(yes(sessionOf("ada")));
    const other = tab();
    await other.ask();
    await session.signOut();
    await other.ask();
    expect(other.state.value).toEqual({ phase: "out" });
    expect(other.holder.value).toBeUndefined();
  });

  it("lets the next sign-in wait until the last session is ended, so that it does not end with it", async () => {
    const { calls, tab } = open();
    const session = tab();
    await session.signIn("ada", "secret");
    let ended: (answer: Answer<null>) => void = () => {};
    calls.logout.mockReturnValueOnce(
      new Promise((resolve) => {
        ended = resolve;
      }),
    );
    const out = session.signOut();
    const into = session.signIn("cal", "secret");
    await Promise.resolve();
    expect(calls.login).toHaveBeenCalledTimes(1);
    ended(yes(null));
    await Promise.all([out, into]);
    expect(calls.login).toHaveBeenCalledTimes(2);
    expect(session.owner.value).toMatchObject({ userId: "cal" });
  });
});
