import { useId, useState } from "preact/hooks";
import { choose, leaveOut } from "../../state/admin-draft";
import { MOST_LEARNERS } from "../../state/admin-list";
import { fitting, type PeopleHere, readPeopleHere } from "../../state/admin-people";
import type { Shown } from "../../state/reads";
import type { PeopleAsk, Person, Role } from "../../wire/admin";
import { AsOf } from "../read-state";
import { usePortal, useRead } from "../use-portal";
import { counted } from "../words";
import { NotDone, NotRead } from "./parts";
import { ROLE_WORDS } from "./people";
import { useAdmin, useChange, usePaged, usePause } from "./use-admin";

const PAGE = 50;
/** The server's largest page, for choosing everybody. */
const WHOLE_PAGE = 500;

export function ChooseBySearch({ courseId }: { courseId: string }) {
  const { reads } = usePortal();
  const { calls, draft, applied } = useAdmin();
  const all = useChange<Person[]>();
  const [typed, setTyped] = useState("");
  const search = usePause(typed);
  const [role, setRole] = useState<Role | "">("learner");
  const [withoutIt, setWithoutIt] = useState(true);
  const countId = useId();
  const asked = {
    search,
    role,
    active: true,
    ...(withoutIt && courseId && { withoutCourse: courseId }),
  };
  const found = usePaged<Person>(`${JSON.stringify(asked)} ${applied.value}`, (after) =>
    calls.people(asPage(asked, PAGE, after)),
  );
  // Read while the server can be reached, so that the search goes on when it can't be.
  const read = reads.of("admin people", () => readPeopleHere(calls));
  const here = useRead(read);
  const [pages, setPages] = useState(1);
  const unanswered = found.fromDevice || (found.problem !== undefined && found.problem.family !== "refused");
  const mayFit = unanswered && here.value === undefined && here.loading;
  const fit = unanswered && here.value !== undefined ? fitting(here.value, asked) : undefined;
  const { chosen } = draft.value;
  const items = fit?.slice(0, pages * PAGE) ?? found.items;
  const total = fit?.length ?? found.total ?? 0;
  const more = fit === undefined ? found.next !== null : total > pages * PAGE;

  async function everybody() {
    if (fit !== undefined) {
      draft.value = choose(draft.value, fit);
      return;
    }
    const people = await all.send(async () => {
      const gathered: Person[] = [];
      let after: string | undefined;
      do {
        const answer = await calls.people(asPage(asked, WHOLE_PAGE, after));
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
          checked={withoutIt && courseId !== "" && fit === undefined}
          disabled={courseId === "" || fit !== undefined}
          onChange={(event) => setWithoutIt(event.currentTarget.checked)}
        />
        Only those who do not have the course yet
      </label>
      {fit === undefined ? (
        <NotRead
          problem={mayFit ? undefined : found.problem}
          what="the people"
          old={found.items !== undefined}
          onRetry={found.again}
        />
      ) : (
        <FromHere
          here={here}
          onRetry={() => {
            found.again();
            void read.load();
          }}
        />
      )}
      {items !== undefined && (
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
          {items.length > 0 && (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
            <ul class="pick" aria-describedby={countId} tabIndex={0}>
              {items.map((person) => (
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
              {more && (
                <li>
                  <button
                    type="button"
                    class="quiet"
                    onClick={fit === undefined ? found.more : () => setPages(pages + 1)}
                    disabled={fit === undefined && found.loading}
                  >
                    {fit === undefined && found.loading ? "Loading…" : "Show more"}
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

/** That the server did not answer, and what a search on this device can't know. */
function FromHere({ here, onRetry }: { here: Shown<PeopleHere>; onRetry: () => void }) {
  const { people, whole } = here.value ?? { people: [], whole: true };
  return (
    <div class="note">
      <p>
        The server can’t be asked now. The search goes through the{" "}
        {counted(people.length, "person", "people")} this device knows{!whole && ", and there are more"}. Who
        has the course already is not known here: they keep it.
      </p>
      <AsOf shown={{ ...here, fromDevice: true }} onRetry={onRetry} />
    </div>
  );
}

/** `role`: the field's own value, which is empty for any. */
const asPage = (
  { role, ...asked }: Omit<PeopleAsk, "role"> & { role: Role | "" },
  limit: number,
  after: string | undefined,
): PeopleAsk => ({ ...asked, ...(role && { role }), limit, ...(after !== undefined && { after }) });
