/** The same thing in the same words on every page. */
export const counted = (count: number, one: string, many: string): string =>
  `${count} ${count === 1 ? one : many}`;

const clockTime = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dayAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });

/** The time of day, or the day too when it was not today. */
export function atTime(rfc3339: string, nowMs: number): string {
  const date = new Date(rfc3339);
  if (Number.isNaN(date.getTime())) return rfc3339;
  const today = new Date(nowMs).toDateString() === date.toDateString();
  return (today ? clockTime : dayAndTime).format(date);
}

export function onDay(rfc3339: string): string {
  const date = new Date(rfc3339);
  return Number.isNaN(date.getTime()) ? rfc3339 : day.format(date);
}

export function inTime(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1_000));
  return seconds < 100 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
}

const ROLES: Record<string, string> = {
  learner: "learner",
  admin: "administrator of the organisation",
  operator: "operator of the platform",
  service: "service",
};

export const roleInWords = (role: string): string => ROLES[role] ?? role;
