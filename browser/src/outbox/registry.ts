/**
 * Which outboxes this browser holds, and whose it is now: how the worker, woken without any page, finds what
 * to send. A small database of its own, for a worker has no localStorage.
 */
import { connect, done } from "./connection";
import type { Principal } from "./entry";
import { nameOf } from "./name";

const NAME = "holdfast-registry";
const SHELF = "principals";
/** Sorts before every database name. */
const PRESENT = ".present";

export interface Registry {
  /** Every principal whose outbox was opened here and not forgotten. */
  all(): Promise<Principal[]>;
  /** Who uses this browser now, as far as its pages said. */
  present(): Promise<Principal | undefined>;
  /** Somebody came, or (undefined) left. */
  setPresent(principal: Principal | undefined): Promise<void>;
  note(principal: Principal): Promise<void>;
  forget(principal: Principal): Promise<void>;
}

export function openRegistry(factory: () => IDBFactory): Registry {
  const connection = connect(factory, NAME, 1, (database) => void database.createObjectStore(SHELF));

  const on = <T>(mode: IDBTransactionMode, ask: (shelf: IDBObjectStore) => IDBRequest): Promise<T> =>
    connection.use(async (database) => {
      const transaction = database.transaction(SHELF, mode);
      const asked = ask(transaction.objectStore(SHELF));
      await done(transaction);
      return asked.result as T;
    });
  const plain = ({ orgId, userId }: Principal): Principal => ({ orgId, userId });

  return {
    all: () =>
      on<Principal[]>("readonly", (shelf) => shelf.getAll(IDBKeyRange.lowerBound("holdfast-"))).then(
        (found) => found.map(plain),
      ),
    present: () => on<Principal | undefined>("readonly", (shelf) => shelf.get(PRESENT)),
    async setPresent(principal) {
      await on<unknown>("readwrite", (shelf) =>
        principal ? shelf.put(plain(principal), PRESENT) : shelf.delete(PRESENT),
      );
    },
    async note(principal) {
      await on("readwrite", (shelf) => shelf.put(plain(principal), nameOf(principal)));
    },
    async forget(principal) {
      await on("readwrite", (shelf) => shelf.delete(nameOf(principal)));
    },
  };
}
