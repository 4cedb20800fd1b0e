import { describe, expect, it, vi } from "vitest";
import { unreachable } from "../core/problem";
import type { PeopleAsk, PeoplePage, Person } from "../wire/admin";
import type { Answer } from "../wire/client";
import { fitting, readPeopleHere } from "./admin-people";

const person = (number: number, more: Partial<Person> = {}) =>
  ({
    id: `u${number}`,
    name: `Pia ${number}`,
    email: `pia-${number}@x.example`,
    roles: ["learner"],
    active: true,
    ...more,
  }) as Person;

/** A server with these people, which answers with what `more` says, page by page. */
function server(count: number, more: (page: number) => { asOf?: string; fromDevice?: true } = () => ({})) {
  let page = 0;
  return vi.fn(async ({ limit = 100, after }: PeopleAsk): Promise<Answer<PeoplePage>> => {
    const from = after === undefined ? 0 : Number(after);
    const to = Math.min(count, from + limit);
    page += 1;
    const items = Array.from({ length: to - from }, (_, at) => person(from + at));
    return { ok: true, value: { items, next: to < count ? String(to) : null, total: count }, ...more(page) };
  });
}

describe("the people of this device", () => {
  it("are all of them, page by page, as old as the oldest page", async () => {
    const people = server(1_100, (page) =>
      page === 2 ? { asOf: "2031-05-01T09:00:00Z", fromDevice: true } : { asOf: "2031-05-01T12:00:00Z" },
    );
    const answer = await readPeopleHere({ people });
    expect(people).toHaveBeenCalledTimes(3);
    expect(answer).toMatchObject({
      ok: true,
      asOf: "2031-05-01T09:00:00Z",
      fromDevice: true,
      value: { whole: true },
    });
    expect(answer.ok && new Set(answer.value.people.map(({ id }) => id)).size).toBe(1_100);
  });

  it("are no more than can be assigned at once, and it is said that there are more", async () => {
    const answer = await readPeopleHere({ people: server(7_000) });
    expect(answer.ok && [answer.value.people.length, answer.value.whole]).toEqual([5_000, false]);
  });

  it("are none when a page is missing: half a list would pass for all", async () => {
    const people = server(900);
    people.mockResolvedValueOnce(await people({ limit: 500 }));
    people.mockResolvedValueOnce({ ok: false, problem: unreachable("gone") });
    expect(await readPeopleHere({ people })).toMatchObject({ ok: false, problem: { family: "unreachable" } });
  });

  it("are searched by name and address in any case, and by role", () => {
    const here = {
      whole: true,
      people: [person(1), person(2, { name: "Änne" }), person(3, { roles: ["admin"] })],
    };
    const ids = (search: string, role: "learner" | "admin" | "" = "") =>
      fitting(here, { search, role }).map(({ id }) => id);
    expect(ids(" PIA ")).toEqual(["u1", "u2", "u3"]);
    expect(ids("än")).toEqual(["u2"]);
    expect(ids("3@X")).toEqual(["u3"]);
    expect(ids("", "admin")).toEqual(["u3"]);
    expect(ids("nobody")).toEqual([]);
  });
});
