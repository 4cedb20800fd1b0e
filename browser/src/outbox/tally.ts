/**
 * How the browser's background syncs went, counted on the device until the server has heard of it: by
 * whichever batch leaves next, this page's or the worker's, anybody's. It is a figure about use and no work,
 * so no more is promised than this: it is counted once, but that a device which dies between taking the
 * count and hearing the answer forgets it, and that a count whose answer was lost is told again.
 */
import { connect, done } from "./connection";
import { isBatch } from "./requests";

export interface Syncs {
  readonly well: number;
  readonly badly: number;
}

export interface Tally {
  add(syncs: Syncs): Promise<void>;
  /** All there is; whoever takes it tells it, or gives it back. */
  take(): Promise<Syncs>;
}

const NAME = "holdfast-syncs";
const KEY = 0;
const NONE: Syncs = { well: 0, badly: 0 };
/** So long at most a batch waits for the count: a figure must not hold work up where storage is slow or dead. */
const TAKE_WITHIN_MS = 300;
/** What the server answers to a batch, and captive portals do not. */
const ACCEPTED = 202;

const isNone = ({ well, badly }: Syncs): boolean => well + badly === 0;

export function openTally(factory: () => IDBFactory): Tally {
  const connection = connect(factory, NAME, 1, (database) => void database.createObjectStore(NAME));

  /** In one transaction, so that no two take the same; answers what was there before. */
  const change = (next: (before: Syncs) => Syncs): Promise<Syncs> =>
    connection.use(async (database) => {
      const transaction = database.transaction(NAME, "readwrite");
      const shelf = transaction.objectStore(NAME);
      const read: IDBRequest<Syncs | undefined> = shelf.get(KEY);
      let before = NONE;
      read.onsuccess = () => {
        before = read.result ?? NONE;
        const after = next(before);
        if (after !== before) shelf.put(after, KEY);
      };
      await done(transaction);
      return before;
    });

  return {
    async add(syncs) {
      await change(({ well, badly }) => ({ well: well + syncs.well, badly: badly + syncs.badly }));
    },
    take: () => change((before) => (isNone(before) ? before : NONE)),
  };
}

/** An outbox's `fetch` whose batches take along what the server has not heard of the device's syncs. */
export function tellingSyncs(send: typeof fetch, tally: Tally): typeof fetch {
  let usable = true;

  async function take(): Promise<Syncs> {
    let late = false;
    const taking = tally.take().then(
      (syncs) => {
        if (late) giveBack(syncs);
        return syncs;
      },
      () => {
        usable = false;
        return NONE;
      },
    );
    const tooLong = new Promise<Syncs>((resolve) =>
      setTimeout(() => {
        late = true;
        resolve(NONE);
      }, TAKE_WITHIN_MS),
    );
    return Promise.race([taking, tooLong]);
  }

  const giveBack = (syncs: Syncs): void => {
    if (!isNone(syncs)) tally.add(syncs).catch(() => {});
  };

  return async (asked, init) => {
    const syncs = usable && isBatch(asked) ? await take() : NONE;
    if (isNone(syncs)) return send(asked, init);
    let answered = false;
    try {
      const answer = await send(asked, {
        ...init,
        headers: {
          ...(init?.headers as Record<string, string>),
          "X-Client-Sync-Success": `${syncs.well}`,
          "X-Client-Sync-Failure": `${syncs.badly}`,
        },
      });
      answered = answer.status === ACCEPTED;
      return answer;
    } finally {
      if (!answered) giveBack(syncs);
    }
  };
}
