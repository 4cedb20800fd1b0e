import { useState } from "preact/hooks";
import type { Person, Role } from "../../wire/admin";
import { Modal } from "../modal";
import { usePortal } from "../use-portal";
import { HeldBack, NotDone } from "./parts";
import { useAdmin, useChange } from "./use-admin";

const SHORTEST_PASSWORD = 8;

/** Adds somebody, or changes somebody; what was typed stays until the server has said yes. */
export function PersonDialog(props: {
  person: Person | undefined;
  onClose: () => void;
  onDone: (person: Person, what: string) => void;
}) {
  const { person, onClose, onDone } = props;
  const { calls, takeAwayHold } = useAdmin();
  const { session } = usePortal();
  const { busy, problem, send } = useChange<Person>();
  const [name, setName] = useState(person?.name ?? "");
  const [email, setEmail] = useState(person?.email ?? "");
  const [password, setPassword] = useState("");
  const [roles, setRoles] = useState<Role[]>(person?.roles ?? ["learner"]);
  const isMe = person !== undefined && person.id === session.owner.value?.userId;
  const sameRoles = [...roles].sort().join() === [...(person?.roles ?? [])].sort().join();

  function toggle(role: Role, on: boolean) {
    setRoles(on ? [...roles, role] : roles.filter((other) => other !== role));
  }

  async function save(event: Event) {
    event.preventDefault();
    if (roles.length === 0) return;
    const done = await send(() =>
      person === undefined
        ? calls.addPerson({
            email: email.trim(),
            name: name.trim(),
            roles,
            ...(password && { password }),
          })
        : calls.changePerson(person.id, {
            ...(name.trim() !== person.name && { name: name.trim() }),
            ...(!sameRoles && { roles }),
          }),
    );
    if (done) onDone(done, person === undefined ? "was added." : "was changed.");
  }

  async function openOrClose() {
    if (person === undefined) return;
    const done = await send(() => calls.changePerson(person.id, { active: !person.active }));
    if (done) onDone(done, done.active ? "can sign in again." : "was closed in this organisation.");
  }

  return (
    <Modal title={person === undefined ? "Add a person" : `Change ${person.name}`} onClose={onClose}>
      <form onSubmit={save}>
        <label class="field">
          E-mail
          <input
            type="email"
            required
            autocomplete="off"
            disabled={person !== undefined}
            value={email}
            onInput={(event) => setEmail(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          Name
          <input
            type="text"
            required
            maxLength={200}
            autocomplete="off"
            value={name}
            defaultValue={person?.name ?? ""}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        {person === undefined && (
          <label class="field">
            First password{" "}
            <span class="small">(at least {SHORTEST_PASSWORD} characters; may stay empty)</span>
            <input
              type="password"
              minLength={SHORTEST_PASSWORD}
              autocomplete="new-password"
              value={password}
              onInput={(event) => setPassword(event.currentTarget.value)}
            />
          </label>
        )}
        <fieldset class="choices">
          <legend>Roles</legend>
          {(["learner", "admin"] as const).map((role) => (
            <label class="choice" key={role}>
              <input
                type="checkbox"
                checked={roles.includes(role)}
                onChange={(event) => toggle(role, event.currentTarget.checked)}
              />
              {role === "learner" ? "Learner: takes courses" : "Administrator: works on these pages"}
            </label>
          ))}
        </fieldset>
        {roles.length === 0 && <p role="alert">Somebody needs at least one role.</p>}
        {person === undefined && (
          <p class="small">
            Who has an account elsewhere on this platform is added with it: name and password stay theirs.
          </p>
        )}
        <NotDone problem={problem} what={person === undefined ? "the person was added" : "it was saved"} />
        <div class="buttons">
          <button
            type="submit"
            disabled={
              busy || roles.length === 0 || (person !== undefined && sameRoles && name.trim() === person.name)
            }
          >
            {busy ? "Saving…" : person === undefined ? "Add" : "Save"}
          </button>
          <button type="button" class="quiet" onClick={onClose}>
            Cancel
          </button>
        </div>
      </form>
      {person !== undefined && !isMe && (
        <section class="apart">
          <p>
            {person.active
              ? "Closed people can’t sign in to this organisation. What they did is kept."
              : "This person is closed: they can’t sign in to this organisation."}
          </p>
          {person.active && <HeldBack />}
          <button
            type="button"
            class="quiet"
            disabled={busy || (person.active && takeAwayHold.value !== undefined)}
            onClick={() => void openOrClose()}
          >
            {person.active ? "Close this person" : "Open this person again"}
          </button>
        </section>
      )}
    </Modal>
  );
}
