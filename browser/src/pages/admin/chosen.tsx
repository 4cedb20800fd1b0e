import { useState } from "preact/hooks";
import { leaveOut } from "../../state/admin-draft";
import { counted } from "../words";
import { useAdmin } from "./use-admin";

/** A page of five thousand buttons would stand still; the rest is counted. */
const SHOWN = 200;

/** Whom the assignment names so far, by search, by file or both. */
export function Chosen() {
  const { draft } = useAdmin();
  const [open, setOpen] = useState(false);
  const { chosen } = draft.value;
  const people = [...chosen.values()];
  const remove = (ids: Iterable<string>) => {
    draft.value = leaveOut(draft.value, ids);
  };
  return (
    <div class="chosen">
      <p role="status">
        {people.length === 0
          ? "Nobody is chosen yet."
          : `${counted(people.length, "person is", "people are")} chosen.`}
      </p>
      {people.length > 0 && (
        <>
          <button type="button" class="quiet" onClick={() => remove(chosen.keys())}>
            Choose nobody
          </button>
          <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
            <summary>Who is chosen</summary>
            {open && (
              <ul class="rows">
                {people.slice(0, SHOWN).map(({ id, name, email, active }) => (
                  <li key={id}>
                    {name} <span class="small">{email}</span>
                    {!active && <span class="tag">closed: will be refused</span>}{" "}
                    <button type="button" class="quiet" onClick={() => remove([id])}>
                      Leave out <span class="unseen">{name}</span>
                    </button>
                  </li>
                ))}
                {people.length > SHOWN && <li>and {people.length - SHOWN} more</li>}
              </ul>
            )}
          </details>
        </>
      )}
    </div>
  );
}
