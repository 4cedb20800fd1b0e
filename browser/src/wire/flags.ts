/** What is switched on for whoever asks, and which build the server has. */
import type { Believe } from "./believe";
import type { Answer, Wire } from "./client";

export interface Flags {
  readonly newWorker: boolean;
  /** The build the server hands out now; undefined where it does not say. */
  readonly build: string | undefined;
}

const believeFlags: Believe<Flags> = (value) => {
  if (typeof value !== "object" || value === null || !("flags" in value)) return undefined;
  const { flags, build } = value as { flags: Record<string, unknown> | null; build?: unknown };
  if (typeof flags !== "object" || flags === null) return undefined;
  return { newWorker: flags.ENABLE_NEW_SW === true, build: typeof build === "string" ? build : undefined };
};

/** `device`: what this device calls itself, which stands for a person until one has signed in. */
export const askFlags = (wire: Wire, device: string): Promise<Answer<Flags>> =>
  wire.call(
    { method: "GET", path: "/api/client/flags", headers: { "X-Holdfast-Device": device } },
    believeFlags,
  );
