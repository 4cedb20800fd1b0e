import { describe, expect, it } from "vitest";
import { matchPeople, readPeopleList } from "./admin-list";

const asked = (text: string) => readPeopleList(text).rows.map((row) => row.asked);
const bad = (text: string) => readPeopleList(text).bad.map(({ line, why }) => `${line}: ${why}`);

describe("a file of people to assign", () => {
  it("is read with any line ends and with a byte order mark", () => {
    expect(asked("a@x.example\nb@x.example")).toEqual(["a@x.example", "b@x.example"]);
    expect(asked("\ufeffa@x.example\r\nb@x.example\r\n")).toEqual(["a@x.example", "b@x.example"]);
    expect(asked("a@x.example\rb@x.example")).toEqual(["a@x.example", "b@x.example"]);
  });

  it.each([
    ["commas", "name,email\nAda,a@x.example"],
    ["semicolons", "name;email\nAda;a@x.example"],
    ["tabs", "name\temail\nAda\ta@x.example"],
    ["a name that holds the separator", 'name,email\n"Lovelace, Ada",a@x.example'],
    ["quotes within quotes", 'name,email\n"Ada ""the first""",a@x.example'],
    ["a quoted address and spaces around it", 'name, E-Mail \nAda, "a@x.example" '],
    ["no first line", "a@x.example,Ada"],
    ["empty lines", "\n\nemail\n\na@x.example\n\n"],
  ])("is read with %s", (_, text) => {
    expect(asked(text)).toEqual(["a@x.example"]);
    expect(bad(text)).toEqual([]);
  });

  it("holds ids as well, and prefers addresses where it has both", () => {
    expect(asked("userId\n0190-a\n0190-b")).toEqual(["0190-a", "0190-b"]);
    expect(asked("id,email\n0190-a,a@x.example")).toEqual(["a@x.example"]);
  });

  it("names every bad line and keeps the others", () => {
    const text =
      'email,name\na@x.example,A\n,B\n"c@x.example,C\nA@X.example,A\nnot an address,D\ne@x.example,E';
    expect(asked(text)).toEqual(["a@x.example", "e@x.example"]);
    expect(bad(text)).toEqual([
      "3: there is no address and no id in this line",
      "4: a quote in this line is never closed",
      "5: the same stands in line 2 already",
      "6: this is neither an address nor an id",
    ]);
  });

  it("counts lines as an editor does", () => {
    expect(readPeopleList("email\r\n\r\na@x.example").rows).toEqual([{ line: 3, asked: "a@x.example" }]);
  });

  it("is empty without people", () => {
    for (const text of ["", "\n\n", "email\n"]) expect(readPeopleList(text)).toEqual({ rows: [], bad: [] });
  });
});

describe("a list with the server's word on it", () => {
  const known = (word: string, id: string) => ({
    asked: word,
    id,
    name: id,
    email: `${id}@x.example`,
    active: true,
  });

  it("names by line whom nobody knows, and who stands there twice", () => {
    const list = readPeopleList("email\na@x.example\nstranger@x.example\nid-of-a\n,\nb@x.example");
    const found = [known("a@x.example", "a"), known("id-of-a", "a"), known("b@x.example", "b")];
    const { people, bad } = matchPeople(list, found);
    expect(people.map(({ id }) => id)).toEqual(["a", "b"]);
    expect(bad.map(({ line, why }) => `${line}: ${why}`)).toEqual([
      "3: nobody of this organisation is called so",
      "4: the same person as in line 2",
      "5: there is no address and no id in this line",
    ]);
  });
});
