/**
 * Which outboxes this browser holds: how a worker, woken without any page, finds what to send. A small
 * database of its own, for a worker has no localStorage.
 */
import { connect, done } from "./connection";
import type { Principal } from "./entry";
import { nameOf } from "./name";

const NAME = "holdfast-registry";
const SHELF = "principals";

export interface Registry {
  /** Every principal who was noted here and not forgotten. */
  all(): Promise<Principal[]>;
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
    // By its key: an earlier build left another kind of record before these.
    all: () => on<Principal[]>("readonly", (shelf) => shelf.getAll(IDBKeyRange.lowerBound("holdfast-"))),
    async note(principal) {
      await on("readwrite", (shelf) => shelf.put(plain(principal), nameOf(principal)));
    },
    async forget(principal) {
      await on("readwrite", (shelf) => shelf.delete(nameOf(principal)));
    },
  };
}
