/**
 * Finds out what this device lost. Damage shows as missing records, not as broken ones, so it is looked for
 * by numbers: one that was given out, does not wait here, did not end here and never came to the server.
 */

import { batchText } from "../wire/batch";
import type { SendingCalls } from "../wire/sending";
import type { Book } from "./book";
import type { Loss, Undeliverable } from "./entry";
import type { News } from "./port";
import { type Ranges, rangesOf, union, without } from "./ranges";
import { PROGRESS_PATH } from "./requests";
import { isOpen, isSameNumbering, type Meta, type Numbering, type Store } from "./store";

/** Most ranges one loss receipt may hold. */
const LARGEST_RECEIPT = 1_000;

interface Kept extends Loss {
  readonly deviceId: string;
}

export interface LossWatch {
  /**
   * Compares and reports, after a start and when there is no telling why the server misses a number of the
   * present numbering; `missed`: those it named last. What can't be known now waits for the next time.
   */
  look(missed: Ranges): Promise<void>;
}

export function watchLoss(
  store: Store,
  book: Book,
  calls: SendingCalls,
  mintId: () => string,
  now: () => number,
  tell: (news: News) => void,
): LossWatch {
  let due = true;
  let looking: Promise<void> | undefined;

  async function lookOnce(missed: Ranges): Promise<void> {
    if (!due && missed.length > 0) {
      // Mostly these are entries of another lane, still on their way.
      due = without(missed, union(book.known().gone, await onDevice())).length > 0;
    }
    if (!due && !book.known().suspects.some(isOpen)) return;
    // In this order: what is added meanwhile is above `lastSeq`, and what ends meanwhile is in `gone`.
    await book.write(() => undefined, false);
    const { suspects, ...current } = book.known();
    const there = await onDevice();
    await book.write(() => undefined, false);
    const here = union(there, book.known().gone);
    const others = suspects.filter((one) => isOpen(one) && !isSameNumbering(one, current));
    for (const one of [...others, { ...current, gone: here }]) {
      if (one.lastSeq > 0 && !(await compare(one, isSameNumbering(one, current)))) return;
    }
    for (const [, loss] of await store.read("losses")) if (!(await report(loss as Kept))) return;
    due = false;
  }

  /**
   * The numbers of what waits and of what is undeliverable: neither is lost, until the database is. Those of
   * the undeliverable are read twice, for one may be tried again, and another refused, between the readings.
   */
  async function onDevice(): Promise<Ranges> {
    const refused = async () =>
      (await store.read("undeliverable")).map(
        ([, item]) => (item as Undeliverable | undefined)?.entry.seq ?? 0,
      );
    return rangesOf([...(await refused()), ...(await store.numbers()), ...(await refused())]);
  }

  /** False when the server could not be asked. */
  async function compare({ deviceId, generation, lastSeq, gone }: Numbering, isCurrent: boolean) {
    const answer = await calls.send(PROGRESS_PATH, batchText({ deviceId, generation }, []));
    const device = answer.ok && answer.value.device;
    if (!device) return false;
    const arrived = device.acceptedThrough > 0 ? without([[1, device.acceptedThrough]], device.missing) : [];
    const missing = without([[1, lastSeq]], union(arrived, gone)).slice(-LARGEST_RECEIPT);
    const suspectIn = ({ suspects }: Meta) =>
      suspects.find((one) => isSameNumbering(one, { deviceId, generation }));
    if (missing.length === 0 && !suspectIn(book.known())) return true;
    const found = {
      id: mintId(),
      deviceId,
      generation,
      noticedAt: new Date(now()).toISOString(),
      told: false,
    };
    let loss: Kept | undefined;
    let isLate = false;
    await book.write((meta) => {
      // What was compared was the present numbering, with all that waited: the database went meanwhile, and
      // with it what waited. Its numbers are to be compared anew, as those of one that is gone.
      isLate = isCurrent && !isSameNumbering(meta, found);
      if (isLate) return undefined;
      const suspect = suspectIn(meta);
      // Another tab may have put it down meanwhile.
      const still = without(missing, isCurrent ? meta.gone : (suspect?.gone ?? missing));
      loss = still.length === 0 ? undefined : { ...found, missing: still, cause: causeOf(suspect) };
      const suspects = meta.suspects.flatMap((one) =>
        one !== suspect ? one : isCurrent ? [] : { ...one, gone: union(one.gone, [[1, lastSeq]]) },
      );
      return {
        put: loss ? [["losses", loss]] : [],
        meta: { ...meta, suspects, ...(isCurrent && { gone: union(meta.gone, still) }) },
      };
    }, true);
    if (loss) tell({ type: "loss", loss });
    return !isLate;

    function causeOf(suspect: Numbering | undefined): string {
      if (!isCurrent) return "The browser's database was deleted or lost.";
      return suspect
        ? "The browser's database came back older than it was."
        : "Records are missing from the browser's database.";
    }
  }

  async function report(loss: Kept): Promise<boolean> {
    if (loss.told) return true;
    const { id, deviceId, generation, missing, cause } = loss;
    const { orgId } = book.known();
    const answer = await calls.reportLoss(
      JSON.stringify({ id, orgId, deviceId, generation, missing, cause }),
    );
    const status = answer.ok && answer.value.receipt.status;
    if (status !== "accepted" && status !== "duplicate") return false;
    const told = { ...loss, told: true };
    await book.write(() => ({ put: [["losses", told]] }), true);
    tell({ type: "loss", loss: told });
    return true;
  }

  return {
    look(missed) {
      looking ??= lookOnce(missed).finally(() => {
        looking = undefined;
      });
      return looking;
    },
  };
}
