import { useState } from "preact/hooks";
import type { Person, Role } from "../../wire/admin";
import { Heading } from "../heading";
import { counted } from "../words";
import { ImportPeople } from "./import-people";
import { ListAge, NotRead, ShowMore, Wide } from "./parts";
import { PersonDialog } from "./person-dialog";
import { useAdmin, usePaged, usePause } from "./use-admin";

export const ROLE_WORDS: Record<Role, string> = { learner: "Learner", admin: "Administrator" };

type Which = "open" | "closed" | "all";

/** One opening of the dialog, to add somebody or to change `person`; each is an object of its own. */
interface Opened {
  person?: Person;
}

export function PeoplePage() {
  const { calls } = useAdmin();
  const [typed, setTyped] = useState("");
  const search = usePause(typed);
  const [role, setRole] = useState<Role | "">("");
  const [which, setWhich] = useState<Which>("open");
  const [dialog, setDialog] = useState<Opened>();
  const [said, setSaid] = useState("");
  const found = usePaged<Person>(`${search} ${role} ${which}`, (after) =>
    calls.people({
      search,
      ...(role && { role }),
      ...(which !== "all" && { active: which === "open" }),
      ...(after !== undefined && { after }),
      limit: 50,
    }),
  );

  function done(mine: Opened, person: Person, what: string) {
    // An answer may come after its dialog was left: the one that is open by then is not its to close.
    setDialog((now) => (now === mine ? undefined : now));
    setSaid(`${person.name} ${what}`);
    found.again();
  }

  return (
    <>
      <Heading title="People" />
      <div class="filters">
        <label class="field">
          Search by name or e-mail
          <input type="search" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
        </label>
        <label class="field">
          Role
          <select value={role} onChange={(event) => setRole(event.currentTarget.value as Role | "")}>
            <option value="">Any</option>
            <option value="learner">Learners</option>
            <option value="admin">Administrators</option>
          </select>
        </label>
        <label class="field">
          Account
          <select value={which} onChange={(event) => setWhich(event.currentTarget.value as Which)}>
            <option value="open">Open</option>
            <option value="closed">Closed</option>
            <option value="all">All</option>
          </select>
        </label>
      </div>
      <div class="buttons">
        <button type="button" onClick={() => setDialog({})}>
          Add a person
        </button>
        <p role="status">{said}</p>
      </div>
      <NotRead
        problem={found.problem}
        what="the people"
        old={found.items !== undefined}
        onRetry={found.again}
      />
      <People people={found.items} total={found.total} onChange={(person) => setDialog({ person })} />
      <ShowMore list={found} />
      <ListAge list={found} />
      <ImportPeople onImported={found.again} />
      {dialog && (
        <PersonDialog
          person={dialog.person}
          onClose={() => setDialog(undefined)}
          onDone={(person, what) => done(dialog, person, what)}
        />
      )}
    </>
  );
}

function People(props: {
  people: readonly Person[] | undefined;
  total: number | undefined;
  onChange: (person: Person) => void;
}) {
  const { people, total, onChange } = props;
  if (people === undefined) return null;
  return (
    <>
      <p class="small" role="status">
        {people.length === 0
          ? "Nobody fits this search."
          : `${people.length} of ${counted(total ?? people.length, "person", "people")}`}
      </p>
      {people.length > 0 && (
        <Wide label="People">
          <table>
            <thead>
              <tr>
                <th scope="col">Name and e-mail</th>
                <th scope="col">Role</th>
                <th scope="col">
                  <span class="unseen">What you can do</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {people.map((person) => (
                <tr key={person.id}>
                  <th scope="row">
                    {person.name}
                    {!person.active && <span class="tag">closed</span>}
                    <br />
                    <span class="small">{person.email}</span>
                  </th>
                  <td>{person.roles.map((role) => ROLE_WORDS[role]).join(", ")}</td>
                  <td>
                    <button type="button" class="quiet" onClick={() => onChange(person)}>
                      Change <span class="unseen">{person.name}</span>
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Wide>
      )}
    </>
  );
}
