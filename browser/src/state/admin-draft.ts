/** An assignment while it is being made: which course, whom, by when. */
import type { Assigned } from "./admin-assigning";
import { MOST_LEARNERS } from "./admin-list";

export interface Chosen {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  /** Somebody who is closed will be refused; that is said before it is done. */
  readonly active: boolean;
}

export interface AssignDraft {
  readonly courseId: string;
  /** By id, in the order they were chosen. */
  readonly chosen: ReadonlyMap<string, Chosen>;
  /** A day as the date field has it, `2031-12-24`, or nothing. */
  readonly dueDay: string;
  readonly note: string;
}

export const EMPTY_DRAFT: AssignDraft = { courseId: "", chosen: new Map(), dueDay: "", note: "" };

export const LONGEST_NOTE = 500;

/** The draft as a page keeps it over a reload. `mark`: whose it is. */
export interface KeptDraft extends Omit<AssignDraft, "chosen"> {
  readonly mark: string;
  readonly chosen: readonly Chosen[];
}

export const keptOf = (mark: string, draft: AssignDraft): KeptDraft => ({
  ...draft,
  mark,
  chosen: [...draft.chosen.values()],
});

/** What a page of another version kept, or one of somebody else, must not come into this one. */
export function draftIn(value: unknown, mark: string): AssignDraft {
  const kept = value as Partial<KeptDraft> | null | undefined;
  if (kept?.mark !== mark || !Array.isArray(kept.chosen)) return EMPTY_DRAFT;
  const { courseId, dueDay, note } = kept;
  if (typeof courseId !== "string" || typeof dueDay !== "string" || typeof note !== "string") {
    return EMPTY_DRAFT;
  }
  const people = kept.chosen.filter((one) => typeof one?.id === "string");
  return choose({ ...EMPTY_DRAFT, courseId, dueDay, note }, people);
}

export function choose(draft: AssignDraft, people: readonly Chosen[]): AssignDraft {
  const chosen = new Map(draft.chosen);
  for (const { id, name, email, active } of people) chosen.set(id, { id, name, email, active });
  return { ...draft, chosen };
}

export function leaveOut(draft: AssignDraft, ids: Iterable<string>): AssignDraft {
  const chosen = new Map(draft.chosen);
  for (const id of ids) chosen.delete(id);
  return { ...draft, chosen };
}

/** What is missing before it can be done; nothing when it can. */
export function faultsOf({ courseId, chosen, note }: AssignDraft): string[] {
  return [
    courseId === "" ? "Choose a course." : "",
    chosen.size === 0 ? "Choose at least one learner." : "",
    chosen.size > MOST_LEARNERS
      ? `${chosen.size} learners are chosen; ${MOST_LEARNERS} can be assigned at once.`
      : "",
    note.length > LONGEST_NOTE ? `The note is longer than ${LONGEST_NOTE} characters.` : "",
  ].filter(Boolean);
}

/** The day's last moment where the administrator is; undefined without a day. */
export function dueAtOf(dueDay: string): string | undefined {
  if (dueDay === "") return undefined;
  const end = new Date(`${dueDay}T23:59:59`);
  return Number.isNaN(end.getTime()) ? undefined : end.toISOString();
}

export function assignedOf(draft: AssignDraft, courseTitle: string): Assigned {
  const dueAt = dueAtOf(draft.dueDay);
  const note = draft.note.trim();
  return {
    courseId: draft.courseId,
    courseTitle,
    userIds: [...draft.chosen.keys()],
    ...(dueAt !== undefined && { dueAt }),
    ...(note && { note }),
  };
}
