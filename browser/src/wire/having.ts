/** For calls that only pages loaded later make: their addresses, and what must hold of their answers. */
import type { Believe } from "./believe";

export const segment = encodeURIComponent;

export function query(asked: object): string {
  const set = Object.entries(asked).filter(([, value]) => value !== undefined && value !== "");
  return set.length === 0 ? "" : `?${new URLSearchParams(set.map(([key, value]) => [key, String(value)]))}`;
}

/** An object that has the fields its page stands on; those that are lists on every page must be lists. */
const LISTS = new Set(["items", "lessons", "dangling", "warnings", "unknown", "failed", "roles", "courses"]);

export function having<T>(...names: string[]): Believe<T> {
  return (value) => {
    if (typeof value !== "object" || value === null) return undefined;
    const fields = value as Record<string, unknown>;
    const whole = names.every((name) => fields[name] !== undefined);
    return whole && names.every((name) => !LISTS.has(name) || Array.isArray(fields[name]))
      ? (value as T)
      : undefined;
  };
}
