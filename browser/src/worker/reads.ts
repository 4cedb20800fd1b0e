/** What people read, and its figures: asked through Workbox's strategies, kept in their own drawers. */
import { Strategy } from "workbox-strategies/Strategy.js";
import type { StrategyHandler } from "workbox-strategies/StrategyHandler.js";
import { figuresIn, markOf, WHOSE, type Whose, whoseMark } from "../wire/worker-words";
import { deviceFirst, LIST_PATIENCE_MS, type Parts, serverFirst } from "./answers";
import { drawerOf, whoIsHere } from "./drawer";
import { worthOf } from "./judge";
import { network } from "./network";
import { routeTo } from "./router";
import { touchedBy } from "./touched";

type Answering = (request: Request, parts: Parts) => Promise<Response>;

class FromDrawer extends Strategy {
  constructor(
    private readonly shelf: "reads" | "figures",
    private readonly answering: Answering,
  ) {
    super();
  }

  override async _handle(request: Request, handler: StrategyHandler): Promise<Response> {
    const asker = whoseMark(request.headers.get(WHOSE) ?? "") ?? (await whoIsHere());
    // Nobody is known to be here: then nothing of anybody's is shown or stored.
    if (!asker) return network(request);
    return this.answering(request, this.parts(asker, request.url, handler));
  }

  private parts(asker: Whose, url: string, handler: StrategyHandler): Parts {
    const drawer = drawerOf(asker, this.shelf, Date.now);
    return {
      asker: markOf(asker),
      now: Date.now,
      network,
      held: () => drawer.held(url),
      keep: async (answer, pin) => {
        const text = this.shelf === "reads" && !pin ? await answer.clone().text() : "";
        const kept = await drawer.keep(url, answer, pin);
        if (kept) await fetchFigures(text, asker, handler.event);
        return kept;
      },
      drop: () => drawer.drop(url),
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      later: (work) => void handler.waitUntil(work.catch(() => {})),
    };
  }
}

const reads = new FromDrawer("reads", serverFirst);
const lists = new FromDrawer("reads", (request, parts) => serverFirst(request, parts, LIST_PATIENCE_MS));
const figures = new FromDrawer("figures", deviceFirst);

/** A lesson that was read is read again without the network: its figures come along. */
async function fetchFigures(lesson: string, asker: Whose, event: ExtendableEvent): Promise<void> {
  const headers = { [WHOSE]: markOf(asker) };
  const drawer = drawerOf(asker, "figures", Date.now);
  for (const path of figuresIn(lesson)) {
    const request = new Request(path, { headers });
    if (await drawer.held(request.url)) continue;
    const [, done] = figures.handleAll({ request, event });
    await done;
  }
}

/** Reads anew what the device holds about these events' lessons, now that the server has them. */
export async function readAgain(
  whose: Whose,
  entries: readonly { readonly payload: string }[],
): Promise<void> {
  const headers = { [WHOSE]: markOf(whose) };
  const drawer = drawerOf(whose, "reads", Date.now);
  for (const path of touchedBy(entries)) {
    const request = new Request(path, { headers });
    if ((await drawer.held(request.url)) === undefined) continue;
    const answer = await network(request).catch(() => undefined);
    if (answer && worthOf(answer, markOf(whose)) === "fresh") await drawer.keep(request.url, answer, false);
  }
}

export function serveReads(): void {
  routeTo("read", reads);
  routeTo("list", lists);
  routeTo("figure", figures);
}
