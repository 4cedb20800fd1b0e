import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import type { Portal } from "../state/portal";
import type { Read, Shown } from "../state/reads";

export const PortalContext = createContext<Portal | undefined>(undefined);

export function usePortal(): Portal {
  const portal = useContext(PortalContext);
  if (portal === undefined) throw new Error("a page stands outside of the portal");
  return portal;
}

/** What the server says, asked when the page opens and kept fresh while it is on screen. */
export function useRead<T>(read: Read<T>): Shown<T> {
  const { reads } = usePortal();
  useEffect(() => reads.watch(read), [read, reads]);
  return read.shown.value;
}

const LOOK_AT_CLOCK_EVERY_MS = 30_000;

/** The time, for "how long ago"; a page that shows it looks again now and then, without any news. */
export function useNow(everyMs = LOOK_AT_CLOCK_EVERY_MS): number {
  const { clock } = usePortal();
  const [, look] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => look((count) => count + 1), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return clock.now();
}
