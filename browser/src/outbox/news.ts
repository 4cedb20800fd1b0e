/** News of one outbox, among its tabs and the worker. A tab that hears none still works; it only learns later. */
import type { Lane } from "./entry";
import type { Channel } from "./parts";
import type { LaneState, News } from "./port";

export type Message =
  | { readonly news: News }
  /** The sending tab's word on its lanes. */
  | { readonly states: Readonly<Record<Lane, LaneState>> }
  /** To the sending tab: send now; say your lanes' states; a tab that is seen wants to send instead. */
  | { readonly ask: "send" | "states" | "seat" };

export interface Exchange {
  subscribe(heard: (news: News) => void): () => void;
  /** To the listeners here. */
  tell(news: News): void;
  /** To the other tabs. */
  pass(message: Message): void;
  close(): void;
}

export function openExchange(channel: Channel | undefined, hear: (message: Message) => void): Exchange {
  const listeners = new Set<(news: News) => void>();
  if (channel) channel.onmessage = ({ data }) => hear(data);
  return {
    subscribe(heard) {
      listeners.add(heard);
      return () => void listeners.delete(heard);
    },
    tell(news) {
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
    },
    pass(message) {
      try {
        channel?.postMessage(message);
      } catch {
        // The channel was closed under us.
      }
    },
    close: () => channel?.close(),
  };
}
