/** What this device remembers of who uses it, between two openings of the page. No token is among it. */
import type { Principal, Session } from "../wire/shapes";
import type { Keep } from "./keep";

const PERSON_KEY = "holdfast.person";
const OWED_KEY = "holdfast.signOutOwed";

export function rememberIn(keep: Keep) {
  return {
    /** The last known person as a session without a token, or undefined after they signed out. */
    session(): Session | undefined {
      const kept = parsed(keep.get(PERSON_KEY));
      return isKept(kept) ? { principal: kept.principal, csrfToken: null, demo: kept.demo } : undefined;
    },
    person(session: Session | undefined): void {
      const kept = session && JSON.stringify({ principal: session.principal, demo: session.demo });
      keep.set(PERSON_KEY, kept ?? null);
    },
    /** The mark of a person who signed out here while the server could not be told. */
    owed: (): string | undefined => keep.get(OWED_KEY) ?? undefined,
    owe: (mark: string | undefined): void => keep.set(OWED_KEY, mark ?? null),
  };
}

function parsed(text: string | null): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return undefined;
  }
}

function isKept(value: unknown): value is { principal: Principal; demo: boolean } {
  if (typeof value !== "object" || value === null || !("principal" in value)) return false;
  const principal = value.principal as Partial<Principal> | null;
  return (
    typeof principal?.userId === "string" &&
    typeof principal.name === "string" &&
    Array.isArray(principal.roles) &&
    Array.isArray(principal.orgs)
  );
}
