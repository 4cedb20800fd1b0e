import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { OperatorCalls } from "../../wire/operator";
import { usePortal, useRead } from "../use-portal";

export const OperatorContext = createContext<OperatorCalls | undefined>(undefined);

export function useOperator(): OperatorCalls {
  const calls = useContext(OperatorContext);
  if (calls === undefined) throw new Error("an operator's page stands outside of the others");
  return calls;
}

/** The orgs' names by id; their ids until those are known. */
export function useOrgNames(): {
  nameOf: (id: string) => string;
  orgs: readonly { id: string; name: string }[];
} {
  const { reads } = usePortal();
  const calls = useOperator();
  const orgs = useRead(reads.of("operator orgs", calls.orgs)).value?.items ?? [];
  return { orgs, nameOf: (id) => orgs.find((org) => org.id === id)?.name ?? id };
}
