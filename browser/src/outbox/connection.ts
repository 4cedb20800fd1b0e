/**
 * A connection to an IndexedDB database that browsers close when they like: a phone in the background, an
 * eviction, another tab's upgrade. A handle that died is dropped and replaced once; what fails then fails
 * for the caller, who stops asking for a while. Nothing is tried again and again on a dead handle.
 */

/** `open` may never answer: a blocked upgrade fires `blocked`, and then nothing. */
const OPEN_WITHIN_MS = 5_000;

export interface Connection {
  /** `work` starts and uses its transaction at once: Safari ends one that waits even for a microtask. */
  use<T>(work: (database: IDBDatabase) => Promise<T>): Promise<T>;
  close(): void;
}

/** Errors that mean the handle, not the work: a new handle may do. */
const DEAD = new Set<unknown>(["InvalidStateError", "UnknownError", "AbortError"]);
const nameOf = (fault: unknown): unknown => (fault as Error | undefined)?.name;

export function connect(
  /** Asked anew at each opening: where a browser forbids databases, this throws. */
  factory: () => IDBFactory,
  name: string,
  version: number,
  upgrade: (database: IDBDatabase) => void,
): Connection {
  /** One open for all who ask meanwhile; set before anything is waited for. */
  let opening: Promise<IDBDatabase> | undefined;

  const forget = (mine: Promise<IDBDatabase> | undefined): void => {
    if (opening === mine) opening = undefined;
  };

  function open(): Promise<IDBDatabase> {
    if (opening) return opening;
    const mine = request(version).catch((fault) => {
      // A newer build was here. Upgrades only add, so its database holds all that this build knows.
      if (nameOf(fault) === "VersionError") return request(undefined);
      throw fault;
    });
    opening = mine;
    mine.then(
      (database) => {
        database.onclose = () => forget(mine);
        // Another tab upgrades or deletes: standing in its way would block it for good.
        database.onversionchange = () => {
          forget(mine);
          database.close();
        };
      },
      () => forget(mine),
    );
    return mine;
  }

  const request = (wanted: number | undefined): Promise<IDBDatabase> =>
    new Promise((resolve, reject) => {
      const asked = factory().open(name, wanted);
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        reject(new Error("The database did not open in time."));
      }, OPEN_WITHIN_MS);
      asked.onupgradeneeded = () => upgrade(asked.result);
      asked.onsuccess = () => {
        clearTimeout(timer);
        if (late) asked.result.close();
        else resolve(asked.result);
      };
      asked.onerror = () => {
        clearTimeout(timer);
        reject(asked.error);
      };
    });

  return {
    async use(work) {
      for (let again = false; ; again = true) {
        const mine = open();
        const database = await mine;
        try {
          return await work(database);
        } catch (fault) {
          if (!DEAD.has(nameOf(fault))) throw fault;
          forget(mine);
          database.close();
          if (again) throw fault;
        }
      }
    },
    close() {
      void opening?.then((database) => database.close()).catch(() => {});
      opening = undefined;
    },
  };
}

/** Settles when the transaction does: a request that succeeded may still be undone with it. */
export function done(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () =>
      reject(transaction.error ?? new DOMException("The transaction was ended.", "AbortError"));
  });
}
