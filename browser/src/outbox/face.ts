import type { Adding } from "./adding";
import type { Aside } from "./aside";
import type { Beacon } from "./beacon";
import type { Principal } from "./entry";
import type { Lease } from "./lease";
import type { LossLook } from "./look";
import type { Exchange } from "./news";
import type { Outbox } from "./port";
import type { Sender } from "./sender";
import type { Shelves } from "./shelves";
import type { StatusWatch } from "./status";

/** What the rest of the page sees. */
export function faceOf(
  principal: Principal,
  { add, added }: Adding,
  aside: Aside,
  shelves: Shelves,
  beacon: Beacon,
  lease: Lease,
  sender: Sender,
  losses: LossLook,
  exchange: Exchange,
  watch: StatusWatch,
  close: () => Promise<void>,
): Outbox {
  let closed = false;

  return {
    principal,
    async add(draft) {
      if (closed) throw new Error("This outbox is closed.");
      return add(draft);
    },
    async waiting() {
      return (await shelves.waiting()).sort((one, other) => one.seq - other.seq);
    },
    undeliverable: shelves.undeliverable,
    losses: shelves.losses,
    answers: shelves.answers,
    get status() {
      return watch.status();
    },
    subscribe: exchange.subscribe,
    sendNow() {
      if (!aside.isSafe()) void aside.probe();
      if (!lease.holds()) exchange.pass({ ask: "send" });
      sender.wake(true);
      void losses.look();
    },
    async putAway(id) {
      await shelves.putAway(id);
      await watch.refresh();
    },
    async tryAgain(id) {
      const entry = await shelves.tryAgain(id);
      if (entry) added(entry);
      await watch.refresh();
      return entry !== undefined;
    },
    async discardAll() {
      const count = await shelves.discardAll();
      const mine = aside.of();
      for (const { id } of mine) aside.drop(id, false);
      await watch.refresh();
      return count + mine.length;
    },
    beacon: beacon.send,
    close() {
      closed = true;
      return close();
    },
  };
}
