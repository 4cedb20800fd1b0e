import { useEffect, useState } from "preact/hooks";
import { choose } from "../../state/admin-draft";
import {
  type BadRow,
  type Matched,
  MOST_LEARNERS,
  matchPeople,
  type PeopleList,
  readPeopleList,
} from "../../state/admin-list";
import type { PeopleFound } from "../../wire/admin";
import { usePortal } from "../use-portal";
import { counted } from "../words";
import { FileField, NotDone, Wide } from "./parts";
import { useAdmin, useChange } from "./use-admin";

interface Opened {
  readonly name: string;
  readonly list: PeopleList;
}

/**
 * A file of e-mail addresses or ids. Who they are only the server knows: without it the file stays open
 * here, and is looked up when the server answers again.
 */
export function ChooseByFile() {
  const { calls, draft, takeAwayHold } = useAdmin();
  const { health } = usePortal();
  const { busy, problem, send, clear } = useChange<PeopleFound>();
  const [opened, setOpened] = useState<Opened>();
  const [matched, setMatched] = useState<Matched>();
  const [fault, setFault] = useState("");

  async function open(file: File) {
    setMatched(undefined);
    setFault("");
    clear();
    const list = readPeopleList(await file.text());
    const { length } = list.rows;
    if (length === 0) {
      setOpened(undefined);
      setFault(`${file.name} names nobody.`);
      if (list.bad.length > 0) setMatched({ people: [], bad: list.bad });
    } else if (length > MOST_LEARNERS) {
      setOpened(undefined);
      setFault(`${file.name} names ${length} people; ${MOST_LEARNERS} can be assigned at once.`);
    } else {
      setOpened({ name: file.name, list });
      await lookUp({ name: file.name, list });
    }
  }

  async function lookUp({ list }: Opened) {
    const found = await send(() => calls.findPeople(list.rows.map(({ asked }) => asked)));
    if (found === undefined) return;
    const result = matchPeople(list, found.items);
    setMatched(result);
    draft.value = choose(draft.value, result.people);
  }

  // A portal that answers may have lost its store, and says when it has it back.
  const answers = health.service.value.reach === "reached" && takeAwayHold.value === undefined;
  useEffect(() => {
    if (answers && opened && problem && problem.family !== "refused") void lookUp(opened);
  }, [answers]);

  return (
    <>
      <FileField
        label="People as a CSV file"
        hint="E-mail addresses or ids, one a line. A first line with names, such as email, is welcome but not needed."
        accept=".csv,.txt,text/csv,text/plain"
        busy={busy}
        onFile={(file) => void open(file)}
      />
      <p role="status">
        {busy &&
          opened &&
          `Asking the server who ${counted(opened.list.rows.length, "person", "people")} are…`}
        {matched && opened && sumOf(matched, opened)}
      </p>
      <NotDone problem={problem} what="the server knows these people" />
      {problem && opened && !busy && (
        <p>
          {opened.name} stays open here and is looked up when the server answers.{" "}
          <button type="button" class="quiet" onClick={() => void lookUp(opened)}>
            Look it up now
          </button>
        </p>
      )}
      <p class="form-problem" role="alert">
        {fault}
      </p>
      {matched && matched.bad.length > 0 && <BadRows bad={matched.bad} />}
    </>
  );
}

function sumOf({ people, bad }: Matched, { name }: Opened): string {
  const left =
    bad.length > 0 ? `${counted(bad.length, "line is", "lines are")} left out` : "no line is left out";
  return `${name}: ${counted(people.length, "person is", "people are")} chosen, ${left}.`;
}

function BadRows({ bad }: { bad: readonly BadRow[] }) {
  return (
    <Wide label="Lines that are left out">
      <table>
        <caption>Lines that are left out</caption>
        <thead>
          <tr>
            <th scope="col">Line</th>
            <th scope="col">What stands there</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {bad.map(({ line, text, why }) => (
            <tr key={line}>
              <th scope="row">{line}</th>
              <td>{text}</td>
              <td>{why}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Wide>
  );
}
