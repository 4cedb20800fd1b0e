/**
 * The page of `bench/outbox.py`: our outbox and four others do the same two jobs, in turn, in one browser.
 * Saving: an event is durable when the promise resolves, as far as each of them can say so. Draining: what
 * waits goes to the portal, and leaves the device once the answer has named it (Workbox: once one came).
 */
import { Dexie } from "dexie";
import { openDB } from "idb";
import PouchDB from "pouchdb-browser";
import { Queue } from "workbox-background-sync";
import { openOutbox } from "../src/outbox/alone";

const BATCH = 50;
const PRINCIPAL = { orgId: "tidewater", userId: "demo-ada" };
let csrfToken = "";

const eventOf = (n) => ({
  id: crypto.randomUUID(),
  kind: "lesson.progressed",
  version: 1,
  orgId: PRINCIPAL.orgId,
  occurredAt: new Date().toISOString(),
  body: { courseId: "reading-the-tide", lessonId: "02-springs-and-neaps", percent: n % 100 },
});
const headers = () => ({ "Content-Type": "application/json", "X-CSRF-Token": csrfToken });

/** Sends one batch; the ids that its receipts name. */
async function send(events) {
  const answer = await fetch("/api/client/progress/batch", {
    method: "POST",
    headers: headers(),
    body: JSON.stringify({ events }),
  });
  if (!answer.ok) throw new Error(`a batch was answered with ${answer.status}`);
  const { receipts } = await answer.json();
  const named = receipts.filter(({ status }) => status === "accepted" || status === "duplicate");
  return new Set(named.map(({ id }) => id));
}

/** Reads, sends and deletes a batch at a time until nothing is left. */
async function drainBy(read, drop) {
  for (;;) {
    const records = await read();
    if (records.length === 0) return;
    const named = await send(records.map(({ event }) => event));
    await drop(records.filter(({ event }) => named.has(event.id)));
  }
}

const PEERS = {
  async ours() {
    let sending = false;
    const outbox = await openOutbox({
      principal: PRINCIPAL,
      fetch: (...asked) => fetch(...asked),
      authorize: async () => (sending ? { csrfToken } : { held: "signIn" }),
    });
    return {
      add: (event) => outbox.add({ id: event.id, kind: event.kind, payload: JSON.stringify(event.body) }),
      drain: () =>
        new Promise((resolve) => {
          const stop = outbox.subscribe(() => {
            if (outbox.status.backlog > 0) return;
            stop();
            resolve();
          });
          sending = true;
          outbox.sendNow();
        }),
      count: async () => (await outbox.waiting()).length,
      clear: () => outbox.discardAll(),
      close: () => outbox.close(),
    };
  },

  async idb(name) {
    const database = await openDB(name, 1, {
      upgrade: (upgraded) => void upgraded.createObjectStore("events", { autoIncrement: true }),
    });
    const write = (work) => {
      const transaction = database.transaction("events", "readwrite", { durability: "strict" });
      work(transaction.store);
      return transaction.done;
    };
    return {
      add: (event) => write((store) => store.add({ event })),
      drain: () =>
        drainBy(
          async () => {
            const transaction = database.transaction("events");
            const [keys, records] = await Promise.all([
              transaction.store.getAllKeys(null, BATCH),
              transaction.store.getAll(null, BATCH),
            ]);
            return records.map((record, at) => ({ ...record, key: keys[at] }));
          },
          (records) =>
            write((store) => {
              for (const { key } of records) store.delete(key);
            }),
        ),
      count: () => database.count("events"),
      clear: () => database.clear("events"),
      close: () => database.close(),
    };
  },

  async dexie(name) {
    const database = new Dexie(name, { chromeTransactionDurability: "strict" });
    database.version(1).stores({ events: "++key" });
    await database.open();
    return {
      add: (event) => database.events.add({ event }),
      drain: () =>
        drainBy(
          () => database.events.orderBy("key").limit(BATCH).toArray(),
          (records) => database.events.bulkDelete(records.map(({ key }) => key)),
        ),
      count: () => database.events.count(),
      clear: () => database.events.clear(),
      close: () => database.close(),
    };
  },

  async workbox(name) {
    // Written for a worker, it asks for a registration. It sends one request an event; its replay is started by hand, as where there is no Background Sync.
    self.registration ??= {};
    const queue = new Queue(name, { forceSyncFallback: true, onSync: () => {} });
    return {
      add: (event) =>
        queue.pushRequest({
          request: new Request("/api/client/progress", {
            method: "POST",
            headers: headers(),
            body: JSON.stringify(event),
          }),
        }),
      drain: () => queue.replayRequests(),
      count: () => queue.size(),
      clear: async () => {
        while (await queue.shiftRequest());
      },
      close: () => {},
    };
  },

  async pouchdb(name) {
    const database = new PouchDB(name);
    return {
      add: (event) => database.put({ _id: event.id, event }),
      drain: () =>
        drainBy(
          async () =>
            (await database.allDocs({ include_docs: true, limit: BATCH })).rows.map(({ doc }) => doc),
          (docs) => database.bulkDocs(docs.map((doc) => ({ ...doc, _deleted: true }))),
        ),
      count: async () => (await database.allDocs()).rows.length,
      clear: () => database.destroy(),
      close: () => database.close(),
    };
  },
};

const opened = {};
async function openedOne(peer) {
  opened[peer] ??= await PEERS[peer](`bench-${peer}`);
  return opened[peer];
}

window.signIn = async (email, password) => {
  const answer = await fetch("/api/auth/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  ({ csrfToken } = await answer.json());
};

/** So many events by so many writers, each of whom waits for its last: events a second, and the p50 of one. */
window.save = async (peer, count, writers) => {
  const one = await openedOne(peer);
  const tookMs = [];
  let left = count;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: writers }, async () => {
      while (left-- > 0) {
        const event = eventOf(left);
        const at = performance.now();
        await one.add(event);
        tookMs.push(performance.now() - at);
      }
    }),
  );
  const seconds = (performance.now() - began) / 1_000;
  tookMs.sort((a, b) => a - b);
  return { perS: count / seconds, p50Ms: tookMs[Math.floor(tookMs.length / 2)] };
};

/** Sends all that waits; seconds, and how many there were. */
window.drain = async (peer) => {
  const one = await openedOne(peer);
  const count = await one.count();
  const began = performance.now();
  await one.drain();
  const seconds = (performance.now() - began) / 1_000;
  const left = await one.count();
  if (left > 0) throw new Error(`${peer} left ${left}`);
  return { seconds, count };
};

/** Forgets what saving left. */
window.clear = async (peer) => {
  await (await openedOne(peer)).clear();
  if (peer !== "pouchdb") await window.finish(peer);
  delete opened[peer];
};

window.finish = async (peer) => {
  await opened[peer]?.close();
  delete opened[peer];
};
window.ready = true;
