/** What a device holds of a person, as a file that a teacher or an operator can read and use. */
import type { Loss, Undeliverable } from "../outbox/entry";
import type { Principal } from "../wire/shapes";
import { type Entry, isOpen } from "./entries";

export interface Held {
  readonly entries: readonly Entry[];
  readonly undeliverable: readonly Undeliverable[];
  readonly losses: readonly Loss[];
}

/** The file's text. `exportedAt` is RFC 3339 UTC. Bodies stand in it as they would be sent. */
export function exportText(principal: Principal, held: Held, exportedAt: string): string {
  const { userId, orgId, name, email } = principal;
  const written = {
    format: "holdfast.device-export",
    version: 1,
    exportedAt,
    person: { userId, orgId, name, email },
    waiting: held.entries.filter(isOpen).map(({ id, kind, says, createdAt, body, state }) => ({
      id,
      kind,
      says,
      createdAt,
      onDevice: state.name === "kept",
      body,
    })),
    undeliverable: held.undeliverable.map(({ id, entry, code, reason, hint, since }) => ({
      id,
      kind: entry.kind,
      says: entry.label,
      createdAt: entry.createdAt,
      since,
      code,
      reason,
      hint,
      // As text: an entry that can't be read any more is exported as it stands.
      payload: entry.payload,
    })),
    losses: held.losses,
  };
  return `${JSON.stringify(written, null, 2)}\n`;
}

/** A name that says what it is, without a person's name in it. */
export const exportName = (exportedAt: string): string =>
  `holdfast-${exportedAt.slice(0, 19).replaceAll(":", "-")}.json`;
