/** The calls an outbox makes. Each carries what the device still holds, and acts in the outbox's own org. */
import { believeAssigned, believeHeld, believeLossTaken, believeReceipts, believeSession } from "./believe";
import type { Backlog } from "./calls";
import type { Answer, Wire } from "./client";
import type { Assigned, Held, LossTaken, Receipts, Session } from "./shapes";
import { FROM_OUTBOX } from "./worker-words";

/** Browsers bound all keepalive requests of a page together at 64 KiB: only small ones may ask for it. */
const KEEPALIVE_UP_TO_CHARS = 16_000;

export type SendingCalls = ReturnType<typeof createSendingCalls>;

export function createSendingCalls(wire: Pick<Wire, "call">, orgId: string, backlog: () => Backlog) {
  function post(path: string, body: string) {
    const { count, lagMs } = backlog();
    return {
      method: "POST" as const,
      path,
      body,
      headers: {
        "X-Org-Id": orgId,
        [FROM_OUTBOX]: "1",
        "X-Client-Queue-Backlog": `${count}`,
        "X-Client-Queue-Lag": `${Math.round(lagMs)}`,
      },
      keepalive: body.length <= KEEPALIVE_UP_TO_CHARS,
    };
  }
  return {
    /** Who the browser's cookie belongs to. */
    whoIsIn: (): Promise<Answer<Session>> =>
      wire.call({ method: "GET", path: "/api/auth/session" }, believeSession),
    /** A batch whose text is already written; see `batch.ts`. */
    send: (path: string, text: string): Promise<Answer<Receipts>> =>
      wire.call(post(path, text), believeReceipts),
    assign: (path: string, text: string): Promise<Answer<Assigned>> =>
      wire.call(post(path, text), believeAssigned),
    whichArrived: (text: string): Promise<Answer<Held>> =>
      wire.call(post("/api/client/receipts", text), believeHeld),
    reportLoss: (text: string): Promise<Answer<LossTaken>> =>
      wire.call(post("/api/client/loss", text), believeLossTaken),
  };
}
