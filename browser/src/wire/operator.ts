/** The calls of an operator's pages, by name. Loaded with those pages, not with a learner's. */
import type { Believe } from "./believe";
import type { Answer, Wire } from "./client";
import { having, query, segment } from "./having";
import type { components } from "./schema";

type Schemas = components["schemas"];
export type DeadLetter = Schemas["DeadLetter"];
export type Letters = Schemas["Letters"];
export type Ledger = Schemas["Ledger"];
export type Devices = Schemas["Devices"];
export type History = Schemas["HealthHistory"];
export type Org = Schemas["OrgRow"];
export type Replay = Schemas["Job"];
export type ReplayAsk = Schemas["ReplayBody"];
export type Component = Schemas["Component"];

export interface LettersAsk {
  status?: string;
  code?: string;
  kind?: string;
  userId?: string;
  limit?: number;
  after?: string;
}

export type OperatorCalls = ReturnType<typeof createOperatorCalls>;

const BASE = "/api/admin/offline";

export function createOperatorCalls(wire: Wire) {
  const get = <T>(path: string, believe: Believe<T>): Promise<Answer<T>> =>
    wire.call({ method: "GET", path }, believe);
  const post = <T>(path: string, body: object | undefined, believe: Believe<T>): Promise<Answer<T>> =>
    wire.call({ method: "POST", path, ...(body !== undefined && { body: JSON.stringify(body) }) }, believe);
  const letter = having<DeadLetter>("id", "status");
  const job = having<Replay>("id", "status", "counts", "sample");

  return {
    history: () => get("/api/health/history", having<History>("changes", "readings")),
    orgs: () => get("/api/admin/orgs", having<Schemas["Orgs"]>("items")),
    letters: (asked: LettersAsk) => get(`${BASE}/deadletters${query(asked)}`, having<Letters>("items")),
    letter: (id: string) => get(`${BASE}/deadletters/${segment(id)}`, letter),
    /** `mended`: a body to apply in the place of the record's own, and why. */
    redrive: (id: string, mended?: { body: unknown; reason: string }) =>
      post(`${BASE}/deadletters/${segment(id)}/redrive`, mended, letter),
    discard: (id: string, reason: string) =>
      post(`${BASE}/deadletters/${segment(id)}/discard`, { reason }, letter),
    ledger: () => get(`${BASE}/ledger`, having<Ledger>("items", "balanced")),
    devices: () => get(`${BASE}/devices`, having<Devices>("items", "losses")),
    replays: () => get(`${BASE}/replay`, having<Schemas["Replays"]>("items")),
    replay: (asked: ReplayAsk) => post(`${BASE}/replay`, asked, job),
    replayOf: (id: string) => get(`${BASE}/replay/${segment(id)}`, job),
    cancelReplay: (id: string) => wire.call({ method: "DELETE", path: `${BASE}/replay/${segment(id)}` }, job),
  };
}
