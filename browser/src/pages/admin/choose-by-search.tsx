import { useId, useState } from "preact/hooks";
import { choose, leaveOut } from "../../state/admin-draft";
import { MOST_LEARNERS } from "../../state/admin-list";
import type { Person, Role } from "../../wire/admin";
import { NotDone, NotRead } from "./parts";
import { ROLE_WORDS } from "./people";
import { useAdmin, useChange, usePaged, usePause } from "./use-admin";

const PAGE = 50;
/** The server's largest page, for choosing everybody. */
const WHOLE_PAGE = 500;

export function ChooseBySearch({ courseId }: { courseId: string }) {
  const { calls, draft, applied } = useAdmin();
  const all = useChange<Person[]>();
  const [typed, setTyped] = useState("");
  const search = usePause(typed);
  const [role, setRole] = useState<Role | "">("learner");
  const [withoutIt, setWithoutIt] = useState(true);
  const countId = useId();
  const asked = {
    search,
    active: true,
    ...(role && { role }),
    ...(withoutIt && courseId && { withoutCourse: courseId }),
  };
  const found = usePaged<Person>(`${JSON.stringify(asked)} ${applied.value}`, (after) =>
    calls.people({ ...asked, limit: PAGE, ...(after !== undefined && { after }) }),
  );
  const { chosen } = draft.value;
  const total = found.total ?? 0;

  async function everybody() {
    const people = await all.send(async () => {
      const gathered: Person[] = [];
      let after: string | undefined;
      do {
        const answer = await calls.people({
          ...asked,
          limit: WHOLE_PAGE,
          ...(after !== undefined && { after }),
        });
        if (!answer.ok) return answer;
        gathered.push(...answer.value.items);
        after = answer.value.next ?? undefined;
      } while (after !== undefined && gathered.length < MOST_LEARNERS);
      return { ok: true, value: gathered };
    });
    if (people) draft.value = choose(draft.value, people);
  }

  function toggle(person: Person, on: boolean) {
    draft.value = on ? choose(draft.value, [person]) : leaveOut(draft.value, [person.id]);
  }

  return (
    <>
      <div class="filters">
        <label class="field">
          Search by name or e-mail
          <input
            type="search"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
            // Enter searches; it must not send the whole form.
            onKeyDown={(event) => event.key === "Enter" && event.preventDefault()}
          />
        </label>
        <label class="field">
          Role
          <select value={role} onChange={(event) => setRole(event.currentTarget.value as Role | "")}>
            <option value="learner">{ROLE_WORDS.learner}s</option>
            <option value="admin">{ROLE_WORDS.admin}s</option>
            <option value="">Any</option>
          </select>
        </label>
      </div>
      <label class="choice">
        <input
          type="checkbox"
          checked={withoutIt && courseId !== ""}
          disabled={courseId === ""}
          onChange={(event) => setWithoutIt(event.currentTarget.checked)}
        />
        Only those who do not have the course yet
      </label>
      <NotRead
        problem={found.problem}
        what="the people"
        old={found.items !== undefined}
        onRetry={found.again}
      />
      {found.items === undefined ? (
        <p class="loading">Loading the people…</p>
      ) : (
        <>
          <div class="buttons">
            <p class="small" role="status" id={countId}>
              {total === 0 ? "Nobody fits this search." : `${total} fit this search.`}
            </p>
            {total > 0 && (
              <button
                type="button"
                class="quiet"
                disabled={all.busy || total > MOST_LEARNERS}
                onClick={() => void everybody()}
              >
                {all.busy ? "Choosing…" : `Choose all ${total}`}
              </button>
            )}
          </div>
          {total > MOST_LEARNERS && (
            <p class="small">At most {MOST_LEARNERS} can be assigned at once: search for fewer.</p>
          )}
          <NotDone problem={all.problem} what="all of them were chosen" />
          {found.items.length > 0 && (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
            <ul class="pick" aria-describedby={countId} tabIndex={0}>
              {found.items.map((person) => (
                <li key={person.id}>
                  <label class="choice">
                    <input
                      type="checkbox"
                      checked={chosen.has(person.id)}
                      onChange={(event) => toggle(person, event.currentTarget.checked)}
                    />
                    <span>
                      {person.name} <span class="small">{person.email}</span>
                    </span>
                  </label>
                </li>
              ))}
              {found.next !== null && (
                <li>
                  <button type="button" class="quiet" onClick={found.more} disabled={found.loading}>
                    {found.loading ? "Loading…" : "Show more"}
                  </button>
                </li>
              )}
            </ul>
          )}
        </>
      )}
    </>
  );
}
