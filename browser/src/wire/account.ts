/** The calls of a person's own page. Loaded with it. */
import { believeNothing } from "./believe";
import type { Answer, Wire } from "./client";

/** Other sessions of the person end with it; this one goes on. */
export const changePassword = (wire: Wire, current: string, next: string): Promise<Answer<null>> =>
  wire.call(
    { method: "POST", path: "/api/auth/password", body: JSON.stringify({ current, new: next }) },
    believeNothing,
  );
