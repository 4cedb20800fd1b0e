/**
 * News of one outbox, for its page and among its tabs and the worker, who also tell each other who sends and
 * how its lanes are. A tab that hears none still works; it only learns later.
 */
import type { Beacon } from "./beacon";
import { type Lane, perLane } from "./entry";
import type { Lease } from "./lease";
import type { Channel } from "./parts";
import type { LaneState, News } from "./port";
import type { Sender } from "./sender";
import type { StatusWatch } from "./status";

type Message =
  | { readonly news: News }
  /** The sending tab's word on its lanes. */
  | { readonly states: Readonly<Record<Lane, LaneState>> }
  /** To the sending tab: send now; say your lanes' states; a tab that is seen wants to send instead. */
  | { readonly ask: "send" | "states" | "seat" };

export interface Exchange {
  subscribe(heard: (news: News) => void): () => void;
  /** To the listeners here. */
  tellHere(news: News): void;
  /** To the listeners here and to the other tabs. */
  tell(news: News): void;
  /** To the other tabs. */
  pass(message: Message): void;
  /** A lane or the lease is in another state. */
  changed(): void;
  /** The state of a lane, by the word of whoever sends. */
  stateOf(lane: Lane): LaneState;
  /** This tab runs again, or stops. */
  runs(again: boolean): void;
  close(): void;
}

export function openExchange(
  channel: Channel | undefined,
  beacon: Beacon,
  sender: Sender,
  lease: Lease,
  watch: StatusWatch,
): Exchange {
  const listeners = new Set<(news: News) => void>();
  let remote: Readonly<Record<Lane, LaneState>> | undefined;
  let statesTold = "";
  /**
   * What others said while this tab was frozen. Chromium lets a frozen tab hear them, but what it then begins
   * in the database never ends, and nobody could write any more: so it is heeded once the tab runs again.
   */
  let unheeded: Message[] | undefined;

  function tellHere(news: News): void {
    for (const heard of [...listeners]) {
      // One page's mistake must not keep the news from the others, nor stop the sending.
      try {
        heard(news);
      } catch (fault) {
        queueMicrotask(() => {
          throw fault;
        });
      }
    }
  }

  function pass(message: Message): void {
    try {
      channel?.postMessage(message);
    } catch {
      // The channel was closed under us.
    }
  }

  function heed(news: News): void {
    if (news.type === "settled") beacon.ended(news.id);
    if (news.type === "undeliverable") beacon.ended(news.item.id);
    tellHere(news);
    void watch.refresh();
  }

  function hear(message: Message): void {
    if (unheeded) {
      unheeded.push(message);
    } else if ("news" in message) {
      heed(message.news);
      if (message.news.type === "added" && lease.holds()) sender.added(message.news.entry);
    } else if ("states" in message) {
      remote = message.states;
      watch.recompose();
    } else if (message.ask === "seat") {
      lease.asked();
    } else if (lease.holds()) {
      if (message.ask === "send") sender.wake(true);
      statesTold = "";
      changed();
    }
  }

  function changed(): void {
    watch.recompose();
    if (!lease.holds()) return;
    const states = perLane(sender.stateOf);
    const text = JSON.stringify(states);
    if (text === statesTold) return;
    statesTold = text;
    pass({ states });
  }

  if (channel) channel.onmessage = ({ data }) => hear(data);
  return {
    subscribe(heard) {
      listeners.add(heard);
      return () => void listeners.delete(heard);
    },
    tellHere,
    tell(news) {
      pass({ news });
      heed(news);
    },
    pass,
    changed,
    stateOf: (lane) => (lease.holds() ? sender.stateOf(lane) : (remote?.[lane] ?? { name: "idle" })),
    runs(again) {
      const heard = unheeded ?? [];
      unheeded = again ? undefined : heard;
      if (again) heard.forEach(hear);
    },
    close: () => channel?.close(),
  };
}
