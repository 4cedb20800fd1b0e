import { createContext } from "preact";
import { useContext, useEffect } from "preact/hooks";
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
