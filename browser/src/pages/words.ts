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

/** How long ago, in the coarsest unit that says enough. */
export function ago(rfc3339: string, nowMs: number): string {
  const minutes = Math.max(0, Math.floor((nowMs - new Date(rfc3339).getTime()) / 60_000));
  if (Number.isNaN(minutes)) return rfc3339;
  if (minutes < 1) return "less than a minute ago";
  if (minutes < 60) return `${counted(minutes, "minute", "minutes")} ago`;
  if (minutes < 48 * 60) return `${counted(Math.floor(minutes / 60), "hour", "hours")} ago`;
  return `${Math.floor(minutes / 1_440)} days ago`;
}

/** A reason as a sentence of its own. */
export const sentence = (reason: string): string =>
  `${reason.charAt(0).toUpperCase()}${bare(reason).slice(1)}.`;

/** A sentence as a part of another one. */
export const bare = (text: string): string => text.trim().replace(/\.$/, "");

const ROLES: Record<string, string> = {
  learner: "learner",
  admin: "administrator of the organisation",
  operator: "operator of the platform",
  service: "service",
};

export const roleInWords = (role: string): string => ROLES[role] ?? role;

/** How long ago, to the second while that is what matters. */
export function agoShort(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 2) return "just now";
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3_600)} h ago`;
}
