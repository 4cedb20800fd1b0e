/**
 * The people an administrator can choose from while the server can't be reached: all of them, read while it
 * could be, so that any search among them can be answered on this device.
 */
import type { AdminCalls, Person, Role } from "../wire/admin";
import type { Answer } from "../wire/client";
import { MOST_LEARNERS } from "./admin-list";

export interface PeopleHere {
  /** Those who are not closed, by address. */
  readonly people: readonly Person[];
  /** Whether these are all of them: no more are kept than can be assigned at once. */
  readonly whole: boolean;
}

/** The server's largest page. */
const PAGE = 500;

/** As old as the oldest of its pages. */
export async function readPeopleHere(calls: Pick<AdminCalls, "people">): Promise<Answer<PeopleHere>> {
  const people: Person[] = [];
  let after: string | null = null;
  let asOf: string | undefined;
  let fromDevice = false;
  do {
    const asked = { active: true, limit: PAGE, ...(after !== null && { after }) };
    const answer: Awaited<ReturnType<AdminCalls["people"]>> = await calls.people(asked);
    if (!answer.ok) return answer;
    people.push(...answer.value.items);
    after = answer.value.next;
    asOf = olderOf(asOf, answer.asOf);
    fromDevice ||= answer.fromDevice === true;
  } while (after !== null && people.length < MOST_LEARNERS);
  return {
    ok: true,
    value: { people, whole: after === null },
    ...(asOf !== undefined && { asOf }),
    ...(fromDevice && { fromDevice }),
  };
}

/** The earlier of two moments as the server writes them; the one that is known, where one is not. */
export const olderOf = (one: string | undefined, other: string | undefined): string | undefined =>
  one === undefined || (other !== undefined && other < one) ? other : one;

/** Who fits, as the server would say it: the text anywhere in name or address, whatever its case. */
export function fitting(
  { people }: PeopleHere,
  { search, role }: { search: string; role: Role | "" },
): readonly Person[] {
  const wanted = search.trim().toLowerCase();
  return people.filter(
    ({ name, email, roles }) =>
      (role === "" || roles.includes(role)) &&
      (name.toLowerCase().includes(wanted) || email.toLowerCase().includes(wanted)),
  );
}
