/**
 * What becomes of the courses an administrator assigns and takes away, at each moment: on this device,
 * on the server but not yet applied, applied with these figures, or refused with this reason.
 *
 * An assignment is one entry of the outbox and nothing else. A receipt says that it is on the server's
 * disk; only the server's word about its effect says what it did, so that is asked for until it is known.
 */
import { computed, type ReadonlySignal, signal, untracked } from "@preact/signals";
import type { Clock } from "../core/clock";
import type { AdminCalls, Assigning, Refused } from "../wire/admin";
import type { Draft, Entry, EntryState } from "./entries";
import type { Keep } from "./keep";
import type { Owner } from "./session";

export type AssigningKind = "course.assigned" | "course.unassigned";

export interface AssigningPorts {
  outbox: {
    add(draft: Draft): string;
    readonly entries: ReadonlySignal<readonly Entry[]>;
    /** Whether what waited from before has been read. */
    readonly ready: ReadonlySignal<boolean>;
  };
  calls: Pick<AdminCalls, "assigning">;
  clock: Clock;
  keep: Keep;
  owner: Owner;
  /** The server has applied something: what it reads out has changed. */
  onApplied: () => void;
}

/** What this device remembers of an assignment after its entry is gone from the outbox. */
interface Remembered {
  readonly id: string;
  readonly kind: AssigningKind;
  readonly courseTitle: string;
  readonly learners: number;
  /** RFC 3339. */
  readonly at: string;
}

export type Moment =
  /** Not on the server: what the outbox says. */
  | { readonly name: "here"; readonly state: EntryState }
  /** It is not on this device any more, and the server has not said yet what it knows of it. */
  | { readonly name: "asking" }
  /** The server has it; its effect is not known yet. */
  | { readonly name: "sent" }
  /** Neither this device nor the server has it: a person threw it away before it was sent. */
  | { readonly name: "gone" }
  | {
      readonly name: "applied";
      readonly changed: number;
      readonly already: number;
      readonly refused: readonly Refused[];
    }
  /** The server has it among its dead letters, with the reason; an operator may still send it through. */
  | { readonly name: "parked"; readonly reason: string };

export interface Act extends Remembered {
  readonly moment: Moment;
}

/** When to ask again for an effect that is still to come, in milliseconds; the last one goes on. */
const ASK_AGAIN_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000];
/** What was parked may lie there for days; but once an operator sends it through, it is applied. */
const ASK_PARKED_MS = 60_000;
const KEPT = 50;

export const isAssigning = (kind: string): kind is AssigningKind =>
  kind === "course.assigned" || kind === "course.unassigned";

export type AssigningState = ReturnType<typeof followAssigning>;

export function followAssigning({ outbox, calls, clock, keep, owner, onApplied }: AssigningPorts) {
  const key = `holdfast.assigning ${owner.orgId} ${owner.userId}`;
  const remembered = signal<readonly Remembered[]>(readIn(keep.get(key)));
  const told = signal<ReadonlyMap<string, Told>>(new Map());
  /** Taken off the list by the person. The outbox holds a saved entry on, and the server lists what it applied. */
  const seen = signal<ReadonlySet<string>>(new Set());
  const asking = new Map<string, () => void>();

  function remember(acts: readonly Remembered[]): void {
    remembered.value = acts.slice(0, KEPT);
    keep.set(key, JSON.stringify(remembered.value));
  }

  /** Declares one event; the outbox keeps and sends it. */
  function declare(kind: AssigningKind, act: Assigned): string {
    const { courseId, courseTitle, userIds, dueAt, note } = act;
    const learners = userIds.length;
    const id = outbox.add(
      kind === "course.assigned"
        ? {
            kind,
            body: { courseId, userIds: [...userIds], ...(dueAt && { dueAt }), ...(note && { note }) },
            says: `${courseTitle} for ${learners === 1 ? "one learner" : `${learners} learners`}`,
          }
        : {
            kind,
            body: { courseId, userIds: [...userIds] },
            says: `${courseTitle} taken from ${learners === 1 ? "one learner" : `${learners} learners`}`,
          },
    );
    const at = new Date(clock.now()).toISOString();
    remember([{ id, kind, courseTitle, learners, at }, ...remembered.peek()]);
    return id;
  }

  const acts: ReadonlySignal<readonly Act[]> = computed(() => {
    const entries = new Map(
      outbox.entries.value.filter(({ kind }) => isAssigning(kind)).map((entry) => [entry.id, entry]),
    );
    const known = remembered.value;
    const ready = outbox.ready.value;
    // An entry that another tab added, or that the device kept and this list forgot.
    const others = [...entries.values()].filter(
      ({ id, state }) =>
        !known.some((act) => act.id === id) && !(state.name === "saved" && seen.value.has(id)),
    );
    return [...others.map(fromEntry), ...known]
      .map((act) => ({ ...act, moment: momentOf(entries.get(act.id), told.value.get(act.id), ready) }))
      .toSorted((one, other) => other.at.localeCompare(one.at));
  });

  function ask(id: string, attempt: number, waitMs = waitBefore(attempt)): void {
    const cancel = clock.after(waitMs, async () => {
      const answer = await calls.assigning(id);
      if (!asking.has(id)) return;
      const unknown = !answer.ok && answer.problem.family === "refused" && answer.problem.status === 404;
      if (answer.ok) told.value = new Map(told.peek()).set(id, answer.value);
      else if (unknown) told.value = new Map(told.peek()).set(id, "unknown");
      const state = answer.ok ? answer.value.state : undefined;
      if (state === "applied" || (unknown && attempt >= ASK_AGAIN_MS.length)) {
        asking.delete(id);
        if (state === "applied") onApplied();
      } else ask(id, attempt + 1, state === "parked" ? ASK_PARKED_MS : undefined);
    });
    asking.set(id, cancel);
  }

  /** Asks for what is still unknown while the pages are open; the answer ends it. */
  function follow(): () => void {
    const stop = acts.subscribe((now) => {
      for (const { id, moment } of now) {
        const open = moment.name === "sent" || moment.name === "asking" || moment.name === "parked";
        if (open && outbox.ready.peek() && !asking.has(id)) untracked(() => ask(id, 0));
      }
    });
    return () => {
      stop();
      for (const cancel of asking.values()) cancel();
      asking.clear();
    };
  }

  return {
    acts,
    seen: seen as ReadonlySignal<ReadonlySet<string>>,
    follow,
    assign: (act: Assigned): string => declare("course.assigned", act),
    unassign: (act: Omit<Assigned, "dueAt" | "note">): string => declare("course.unassigned", act),
    /** The person has seen what became of it. */
    forget(id: string): void {
      asking.get(id)?.();
      asking.delete(id);
      seen.value = new Set(seen.peek()).add(id);
      remember(remembered.peek().filter((act) => act.id !== id));
    },
  };
}

const waitBefore = (attempt: number): number => ASK_AGAIN_MS[Math.min(attempt, ASK_AGAIN_MS.length) - 1] ?? 0;

export interface Assigned {
  readonly courseId: string;
  readonly courseTitle: string;
  readonly userIds: readonly string[];
  /** RFC 3339 with an offset. */
  readonly dueAt?: string;
  readonly note?: string;
}

/** The server's word on an event; "unknown": it has never seen it. */
type Told = Assigning | "unknown";

function momentOf(entry: Entry | undefined, told: Told | undefined, ready: boolean): Moment {
  const word = told === "unknown" ? undefined : told;
  if (word?.state === "applied") {
    const { changed, already, refused } = word;
    return { name: "applied", changed: changed ?? 0, already: already ?? 0, refused: refused ?? [] };
  }
  if (word?.state === "parked") return { name: "parked", reason: word.reason ?? word.code ?? "" };
  if (entry !== undefined && entry.state.name !== "saved") return { name: "here", state: entry.state };
  if (entry !== undefined || word?.state === "waiting") return { name: "sent" };
  return ready && told === "unknown" ? { name: "gone" } : { name: "asking" };
}

function fromEntry({ id, kind, says, body, createdAt }: Entry): Remembered {
  const named = (body as { userIds?: unknown } | null)?.userIds;
  return {
    id,
    kind: isAssigning(kind) ? kind : "course.assigned",
    courseTitle: says.replace(/ (for|taken from) [^ ]+ learners?$/, ""),
    learners: Array.isArray(named) ? named.length : 0,
    at: createdAt,
  };
}

/** What a page of another version wrote, or a person by hand, must not break this one. */
function readIn(text: string | null): Remembered[] {
  try {
    const found: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(found) ? found.filter(isRemembered) : [];
  } catch {
    return [];
  }
}

const isRemembered = (value: unknown): value is Remembered => {
  const act = value as Partial<Remembered> | null;
  return (
    typeof act === "object" &&
    typeof act?.id === "string" &&
    typeof act.courseTitle === "string" &&
    typeof act.learners === "number" &&
    typeof act.at === "string" &&
    isAssigning(act.kind ?? "")
  );
};
