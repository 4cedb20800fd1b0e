/** What an administrator's pages stand on: put together when the first of them is opened. */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Status } from "../outbox/port";
import { type AdminCalls, createAdminCalls } from "../wire/admin";
import type { Degradation, Health } from "../wire/shapes";
import { type AssigningState, followAssigning } from "./admin-assigning";
import { type AssignDraft, draftIn, EMPTY_DRAFT, keptOf } from "./admin-draft";
import { largestBacklog } from "./backlog";
import { keepIn } from "./keep";
import type { Portal } from "./portal";
import { markOf, type Owner } from "./session";

export interface Admin {
  readonly calls: AdminCalls;
  readonly assigning: AssigningState;
  /** Counts the effects that were applied while these pages are open: what was read before is old. */
  readonly applied: ReadonlySignal<number>;
  /** Why more than one learner can't be assigned at once now; undefined while it can. */
  readonly bulkHold: ReadonlySignal<string | undefined>;
  /** What is lost while nothing may be taken away, because nobody could see what that did. */
  readonly takeAwayHold: ReadonlySignal<Degradation | undefined>;
  /** The assignment being made; it outlives a look at another page, and a new version. */
  readonly draft: { value: AssignDraft };
}

const made = new WeakMap<Portal, { mark: string; admin: Admin }>();

/** One for each person who uses the page: the next one begins anew. */
export function adminOf(portal: Portal, owner: Owner): Admin {
  const mark = markOf(owner);
  const known = made.get(portal);
  if (known?.mark === mark) return known.admin;
  const admin = createAdmin(portal, owner);
  made.set(portal, { mark, admin });
  return admin;
}

function createAdmin({ wire, outbox, health, clock, installed }: Portal, owner: Owner): Admin {
  const calls = createAdminCalls(wire);
  const applied = signal(0);
  const mark = markOf(owner);
  const draft = signal(draftIn(installed.screen.restored("assign"), mark));
  installed.screen.rememberScreen("assign", () =>
    draft.peek() === EMPTY_DRAFT ? undefined : keptOf(mark, draft.peek()),
  );
  return {
    calls,
    applied,
    assigning: followAssigning({
      outbox,
      calls,
      clock,
      owner,
      keep: keepIn(() => localStorage),
      onApplied: () => {
        applied.value += 1;
      },
    }),
    bulkHold: computed(() => bulkHold(outbox.status.value, health.service.value.health)),
    takeAwayHold: computed(() => takeAwayHold(health.service.value.health)),
    draft,
  };
}

export function bulkHold(status: Pick<Status, "backlog">, health: Health | undefined): string | undefined {
  const largest = largestBacklog(health);
  const { backlog } = status;
  if (backlog > largest) {
    return (
      `${backlog} things on this device wait to be sent. ` +
      `Assigning to many at once goes on when ${largest} or fewer are left; one learner at a time works now.`
    );
  }
  const waiting = health?.org?.backlog ?? health?.offlineQueue?.backlog ?? 0;
  if (waiting > largest) {
    return (
      `${waiting} things of your organisation are saved on the server and wait to be applied. ` +
      `Assigning to many at once goes on when ${largest} or fewer are left; one learner at a time works now.`
    );
  }
  return undefined;
}

/** While the store is so, the server holds back what takes something away. */
const STORE_LOST = new Set(["store_out", "store_read_only"]);

export function takeAwayHold(health: Health | undefined): Degradation | undefined {
  return health?.degradations?.find(({ name }) => STORE_LOST.has(name));
}
