import { useState } from "preact/hooks";
import type { RosterReport } from "../../wire/admin";
import { counted } from "../words";
import { FileField, NotDone, saveFile, Wide } from "./parts";
import { useAdmin, useChange } from "./use-admin";

const TEMPLATE = "email,name,role\r\nada@school.example,Ada Lovelace,learner\r\n";
const LARGEST_BYTES = 4 * 1024 * 1024;

/** People from a CSV file: each bad row is named, the good ones are kept. */
export function ImportPeople({ onImported }: { onImported: () => void }) {
  const { calls } = useAdmin();
  const { busy, problem, done, send, clear } = useChange<RosterReport>();
  const [file, setFile] = useState<File>();
  const [tooLarge, setTooLarge] = useState("");

  async function begin(chosen: File) {
    setFile(chosen);
    setTooLarge("");
    if (chosen.size > LARGEST_BYTES) {
      clear();
      setTooLarge(`${chosen.name} is larger than 4 MB. Send it in several files.`);
      return;
    }
    if (await send(() => calls.importPeople(chosen))) onImported();
  }

  return (
    <section aria-labelledby="import-heading">
      <h2 id="import-heading">Import people</h2>
      <FileField
        label="People as a CSV file"
        hint={
          <>
            The first line is <code>email,name,role</code>, with <code>password</code> if you like; role is{" "}
            <code>learner</code> or <code>admin</code>. Rows that can’t be read are named; the others are
            imported.
          </>
        }
        accept=".csv,text/csv"
        busy={busy}
        onFile={(chosen) => void begin(chosen)}
      />
      <p>
        <button
          type="button"
          class="quiet"
          onClick={() => saveFile(TEMPLATE, "text/csv;charset=utf-8", "people.csv")}
        >
          Get a file to fill in
        </button>
      </p>
      <p role="status">
        {busy && file && `Importing ${file.name}…`}
        {done && file && headOf(done, file.name)}
      </p>
      <NotDone problem={problem} what="the people were imported" />
      <p class="form-problem" role="alert">
        {tooLarge}
      </p>
      {problem && file && !busy && (
        <button type="button" class="quiet" onClick={() => void begin(file)}>
          Try {file.name} again
        </button>
      )}
      {done && done.failed.length > 0 && <Failed failed={done.failed} />}
    </section>
  );
}

function headOf({ created, updated, unchanged, failed }: RosterReport, name: string): string {
  const left =
    failed.length > 0 ? `${counted(failed.length, "row was", "rows were")} left out` : "no row was left out";
  return `${name}: ${created} added, ${updated} changed, ${unchanged} as they were, and ${left}.`;
}

function Failed({ failed }: { failed: RosterReport["failed"] }) {
  return (
    <Wide label="Rows that were left out">
      <table>
        <caption>Left out. Mend these rows and import the file again; the others stay as they are.</caption>
        <thead>
          <tr>
            <th scope="col">Line</th>
            <th scope="col">E-mail</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {failed.map(({ line, email, reason }) => (
            <tr key={line}>
              <th scope="row">{line}</th>
              <td>{email || "–"}</td>
              <td>{reason}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Wide>
  );
}
