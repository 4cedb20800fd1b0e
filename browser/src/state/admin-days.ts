/** Days for a chart: those on which nothing happened too, or a pause would look like none. */
export interface CountedDay {
  /** `2031-12-24`. */
  readonly day: string;
  readonly lessons: number;
  readonly learners: number;
}

const DAY_MS = 86_400_000;
/** The server gives thirty; a figure far out must not fill a page. */
const MOST_DAYS = 62;

export function everyDay(days: readonly CountedDay[]): CountedDay[] {
  const known = new Map(days.map((one) => [one.day, one]));
  const times = days.map(({ day }) => Date.parse(day)).filter((time) => !Number.isNaN(time));
  if (times.length === 0) return [];
  const last = Math.max(...times);
  const first = Math.max(Math.min(...times), last - (MOST_DAYS - 1) * DAY_MS);
  return Array.from({ length: Math.round((last - first) / DAY_MS) + 1 }, (_, at) => {
    const day = new Date(first + at * DAY_MS).toISOString().slice(0, 10);
    return known.get(day) ?? { day, lessons: 0, learners: 0 };
  });
}
