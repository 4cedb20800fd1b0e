import { signal } from "@preact/signals";
import { describe, expect, it, vi } from "vitest";
import { type Problem, unreachable } from "../core/problem";
import type { Session } from "../wire/shapes";
import { authorizer } from "./authorize";
import { ADA, CAL } from "./rig";
import type { Owner, SessionState } from "./session";

const sessionOf = (userId: string, csrfToken: string): Session => ({
  principal: { userId, orgId: "tidewater", orgs: [], roles: [], email: "", name: "" },
  csrfToken,
  demo: false,
});

function open() {
  const state = signal<SessionState>({ phase: "in", session: sessionOf("ada", "first") });
  const owner = signal<Owner | undefined>(ADA);
  const ask = vi.fn(async (): Promise<Problem | undefined> => undefined);
  const session = { state, owner, ask, stillCurrent: () => true };
  return { state, owner, session, ask, authorize: authorizer(session, ADA) };
}

describe("leave to send", () => {
  it("is the page's own session at first, without asking the server again", async () => {
    const { authorize, ask } = open();
    expect(await authorize()).toEqual({ csrfToken: "first" });
    expect(ask).not.toHaveBeenCalled();
  });

  it("is asked for anew after the server refused it", async () => {
    const { authorize, ask, state } = open();
    await authorize();
    ask.mockImplementationOnce(async () => {
      state.value = { phase: "in", session: sessionOf("ada", "second") };
      return undefined;
    });
    expect(await authorize()).toEqual({ csrfToken: "second" });
  });

  it("waits for the sign-in when the session has ended", async () => {
    const { authorize, ask, state } = open();
    await authorize();
    ask.mockImplementationOnce(async () => {
      state.value = { phase: "expired", session: sessionOf("ada", "first") };
      return undefined;
    });
    expect(await authorize()).toEqual({ held: "signIn" });
  });

  it("is nobody's for somebody else's events", async () => {
    const { authorize, owner, state } = open();
    owner.value = CAL;
    state.value = { phase: "in", session: sessionOf("cal", "theirs") };
    expect(await authorize()).toEqual({ held: "anotherPerson" });
  });

  it("is worth asking for again when nobody could say", async () => {
    const { authorize, ask } = open();
    await authorize();
    const problem = unreachable("no answer");
    ask.mockResolvedValueOnce(problem);
    expect(await authorize()).toEqual({ problem });
  });
});
