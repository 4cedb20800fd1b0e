/** What the worker tells every page, and the portal's condition. */
import { RUNTIME_STATUS, type ToPage } from "../wire/worker-words";
import { scope } from "./scope";

export async function tellPages(news: ToPage): Promise<void> {
  const channel = new BroadcastChannel(RUNTIME_STATUS);
  channel.postMessage(news);
  channel.close();
  for (const page of await pages()) page.postMessage(news);
}

export const pagesOpen = async (): Promise<number> => (await pages()).length;

const pages = () => scope.clients.matchAll({ type: "window", includeUncontrolled: true });
