/**
 * A file of people to assign a course to, as spreadsheets write it: e-mail addresses or ids, one a line.
 *
 * UTF-8 with or without a byte order mark; any line ends; commas, semicolons or tabs; cells in quotes. A
 * first line that names its columns (`email`, `id`) says where to look; without one, it is the first cell.
 * A row is a line: a quote that is never closed spoils its own line and no other.
 */

/** How many learners one assignment may name; the server's own limit. */
export const MOST_LEARNERS = 5_000;

export interface ListedRow {
  /** Counts from 1, a first line with names included. */
  readonly line: number;
  /** An e-mail address or an id, as it was written. */
  readonly asked: string;
}

export interface BadRow {
  readonly line: number;
  readonly text: string;
  readonly why: string;
}

export interface PeopleList {
  readonly rows: readonly ListedRow[];
  readonly bad: readonly BadRow[];
}

const COLUMNS = /^(e-?mail( ?address)?|user ?id|id|learner|person)$/i;
const EMAIL_COLUMN = /^e-?mail/i;
const LONGEST_WORD = 254;

export function readPeopleList(text: string): PeopleList {
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\r|\n/);
  const first = lines.findIndex((line) => line.trim() !== "");
  const separator = separatorOf(lines[first] ?? "");
  const head = cellsOf(lines[first] ?? "", separator) ?? [];
  const column = columnOf(head);
  const rows: ListedRow[] = [];
  const bad: BadRow[] = [];
  const seen = new Map<string, number>();

  lines.forEach((line, at) => {
    if (line.trim() === "" || (column !== undefined && at === first)) return;
    const number = at + 1;
    const cells = cellsOf(line, separator);
    const asked = cells?.[column ?? 0]?.trim() ?? "";
    const key = asked.toLowerCase();
    const before = seen.get(key);
    const why =
      cells === undefined
        ? "a quote in this line is never closed"
        : asked === ""
          ? "there is no address and no id in this line"
          : asked.length > LONGEST_WORD || /[\s,;<>"]/.test(asked)
            ? "this is neither an address nor an id"
            : before !== undefined
              ? `the same stands in line ${before} already`
              : undefined;
    if (why !== undefined) {
      bad.push({ line: number, text: asked || line.trim().slice(0, LONGEST_WORD), why });
    } else {
      seen.set(key, number);
      rows.push({ line: number, asked });
    }
  });
  return { rows, bad };
}

/** Where the addresses or ids stand, if the first line says so. An address is preferred: people know it. */
function columnOf(head: readonly string[]): number | undefined {
  const named = head.map((cell) => cell.trim());
  const email = named.findIndex((name) => EMAIL_COLUMN.test(name) && COLUMNS.test(name));
  const any = email >= 0 ? email : named.findIndex((name) => COLUMNS.test(name));
  return any >= 0 ? any : undefined;
}

function separatorOf(line: string): string {
  const count = (sign: string) => line.split(sign).length;
  return [",", ";", "\t"].reduce((best, sign) => (count(sign) > count(best) ? sign : best));
}

/** A line's cells; undefined when a quote is never closed. */
function cellsOf(line: string, separator: string): string[] | undefined {
  const cells: string[] = [];
  let cell = "";
  let quoted = false;
  for (let at = 0; at < line.length; at += 1) {
    const sign = line[at] ?? "";
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (line[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else quoted = false;
    } else if (sign === '"' && cell.trim() === "") {
      cell = "";
      quoted = true;
    } else if (sign === separator) {
      cells.push(cell);
      cell = "";
    } else cell += sign;
  }
  return quoted ? undefined : [...cells, cell];
}

export interface Known {
  readonly asked: string;
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly active: boolean;
}

export interface Matched {
  /** Each person once, whatever they are called in the list. */
  readonly people: readonly Known[];
  readonly bad: readonly BadRow[];
}

/** The list with the server's word on who is who: whom it does not know is named by line. */
export function matchPeople(list: PeopleList, found: readonly Known[]): Matched {
  const byWord = new Map(found.map((person) => [person.asked, person]));
  const lines = new Map<string, number>();
  const people: Known[] = [];
  const bad = [...list.bad];
  for (const { line, asked } of list.rows) {
    const person = byWord.get(asked);
    const before = person && lines.get(person.id);
    if (person === undefined)
      bad.push({ line, text: asked, why: "nobody of this organisation is called so" });
    else if (before !== undefined)
      bad.push({ line, text: asked, why: `the same person as in line ${before}` });
    else {
      lines.set(person.id, line);
      people.push(person);
    }
  }
  return { people, bad: bad.toSorted((one, other) => one.line - other.line) };
}
