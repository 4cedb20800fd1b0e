/** Emptying an outbox from the worker: as far as it goes, for so long, and what came of it. */
import type { Entry, News, Outbox, Status } from "../outbox/index";

export interface Drained {
  readonly sent: number;
  readonly duplicates: number;
  readonly undeliverable: number;
  readonly left: number;
  /** What the server has now and had not before. */
  readonly entries: readonly Entry[];
}

/** A browser ends a sync event that runs for three minutes. */
const LONGEST_MS = 100_000;

export async function drain(outbox: Outbox, sleep: (ms: number) => Promise<void>): Promise<Drained> {
  const before = new Map((await outbox.waiting()).map((entry) => [entry.id, entry]));
  const settled: Extract<News, { type: "settled" }>[] = [];
  let undeliverable = 0;
  let over = false;
  let heard = () => {};
  const stop = outbox.subscribe((news) => {
    if (news.type === "settled") settled.push(news);
    if (news.type === "undeliverable") undeliverable += 1;
    heard();
  });
  const end = sleep(LONGEST_MS).then(() => {
    over = true;
  });
  outbox.sendNow();
  while (!over && isMoving(outbox.status)) {
    await Promise.race([end, new Promise<void>((resolve) => (heard = resolve))]);
  }
  stop();
  return {
    sent: settled.length,
    duplicates: settled.filter(({ outcome }) => outcome === "duplicate").length,
    undeliverable,
    left: outbox.status.backlog,
    entries: settled.flatMap(({ id }) => before.get(id) ?? []),
  };
}

/** Whether some lane has something left to try now: those that wait or are held have tried. */
const isMoving = ({ lanes }: Status): boolean =>
  Object.values(lanes).some(
    ({ waiting, state }) => state.name === "sending" || (waiting > 0 && state.name === "idle"),
  );
