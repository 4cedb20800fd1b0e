/**
 * The database's record of itself, and what this device knows about it from elsewhere. A database that
 * comes back empty or older than the mirror says starts no number twice: it gets a new generation or goes
 * on above the highest number known, and what may be lost is put down as suspect in the same transaction.
 */

import type { Principal } from "./entry";
import type { Mirror } from "./parts";
import { union } from "./ranges";
import { type Change, isSameNumbering, type Meta, type Numbering, type Store } from "./store";

export interface Book {
  /** The record as this tab last saw it. */
  known(): Meta;
  write(decide: (meta: Meta) => Change | undefined, strict: boolean): Promise<void>;
}

export function openBook(
  store: Store,
  principal: Principal,
  mirrorKey: string,
  mirror: Mirror | undefined,
  mintId: () => string,
): Book {
  let known: Meta | undefined;
  /** Stands in while the database has never been read. */
  let unread: Meta | undefined;

  function mirrored(): Numbering | undefined {
    try {
      const said = JSON.parse(mirror?.get(mirrorKey) ?? "null");
      return said?.deviceId && said.generation > 0 && said.lastSeq >= 0 && said.gone ? said : undefined;
    } catch {
      return undefined;
    }
  }

  function standing(read: Meta | undefined): Meta {
    const hints = [known, mirrored()].filter((hint) => !!hint);
    const meta: Meta = read ?? {
      orgId: principal.orgId,
      userId: principal.userId,
      deviceId: hints[0]?.deviceId ?? mintId(),
      generation: Math.max(0, ...hints.map(({ generation }) => generation)) + 1,
      lastSeq: 0,
      epoch: known?.epoch ?? 0,
      beatAtMs: 0,
      gone: [],
      suspects: known?.suspects ?? [],
    };
    return hints.reduce<Meta>((noted, hint) => heeding(noted, hint, hint === known), meta);
  }

  async function write(decide: (meta: Meta) => Change | undefined, strict: boolean): Promise<void> {
    let after: Meta | undefined;
    await store.write((read) => {
      const meta = standing(read);
      const change = decide(meta);
      after = change?.meta ?? meta;
      return meta === read ? change : { meta, ...change };
    }, strict);
    if (!after) return;
    known = after;
    const { deviceId, generation, lastSeq, gone } = after;
    const text = JSON.stringify({ deviceId, generation, lastSeq, gone });
    try {
      if (mirror?.get(mirrorKey) !== text) mirror?.set(mirrorKey, text);
    } catch {
      // Without its mirror a lost database is noticed by the server's numbers alone.
    }
  }

  return {
    known() {
      unread ??= known ?? standing(undefined);
      return known ?? unread;
    },
    write,
  };
}

/** The record, with what a hint from outside the database adds to it; the same object where that is nothing. */
function heeding(meta: Meta, hint: Numbering, isOwn: boolean): Meta {
  const { deviceId, generation, lastSeq, gone } = hint;
  const isThis = isSameNumbering(meta, hint);
  // A numbering other than the present one is suspect once, when this one begins or was begun elsewhere; and
  // once for each tab that used it, since whoever began this one may not have seen its last numbers.
  const isNews = isThis
    ? lastSeq > meta.lastSeq
    : isOwn || deviceId !== meta.deviceId || generation > meta.generation || meta.lastSeq === 0;
  if (!isNews || lastSeq === 0) return meta;
  const { suspects } = meta;
  const before = suspects.find((one) => isSameNumbering(one, hint)) ?? hint;
  const suspect = {
    deviceId,
    generation,
    lastSeq: Math.max(lastSeq, before.lastSeq),
    // Each may know of some that ended, the hint or whoever brought it up before.
    gone: union(gone, before.gone),
  };
  return {
    ...meta,
    suspects: [...suspects.filter((one) => one !== before), suspect],
    ...(isThis && { lastSeq, gone: union(meta.gone, gone) }),
  };
}
