import { useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import type { AssignmentItem } from "../../wire/admin";
import { Heading } from "../heading";
import { Modal, useFocusAfter } from "../modal";
import { usePortal } from "../use-portal";
import { counted, onDay } from "../words";
import { Acts } from "./acts";
import { useCourses } from "./courses";
import { HeldBack, ListAge, NotRead, ShowMore, Wide } from "./parts";
import { useAdmin, usePaged, usePause } from "./use-admin";

const keyOf = ({ courseId, userId }: AssignmentItem): string => `${courseId} ${userId}`;

export function AssignmentsPage() {
  const { calls, assigning, applied } = useAdmin();
  const { query } = useLocation();
  const courses = useCourses().shown.value?.items ?? [];
  const [courseId, setCourseId] = useState(query.course ?? "");
  const [typed, setTyped] = useState("");
  const search = usePause(typed);
  const [overdue, setOverdue] = useState(false);
  const [picked, setPicked] = useState<ReadonlyMap<string, AssignmentItem>>(new Map());
  const [asking, setAsking] = useState(false);
  const log = useRef<HTMLElement>(null);
  const showLog = useFocusAfter(log);
  const found = usePaged<AssignmentItem>(
    JSON.stringify([courseId, search, overdue, applied.value]),
    (after) =>
      calls.assignments({
        courseId,
        search,
        ...(overdue && { overdue }),
        ...(after !== undefined && { after }),
        limit: 50,
      }),
  );

  function pick(item: AssignmentItem, on: boolean) {
    const next = new Map(picked);
    if (on) next.set(keyOf(item), item);
    else next.delete(keyOf(item));
    setPicked(next);
  }

  /** One event a course: that is what an event says. */
  function takeAway() {
    for (const [id, items] of byCourse([...picked.values()])) {
      const courseTitle = items[0]?.courseTitle ?? id;
      assigning.unassign({ courseId: id, courseTitle, userIds: items.map(({ userId }) => userId) });
    }
    setPicked(new Map());
    setAsking(false);
    showLog();
  }

  return (
    <>
      <Heading title="Who has done what" />
      <div class="filters">
        <label class="field">
          Course
          <select value={courseId} onChange={(event) => setCourseId(event.currentTarget.value)}>
            <option value="">All courses</option>
            {courses.map(({ id, title }) => (
              <option key={id} value={id}>
                {title}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          Learner, by name or e-mail
          <input type="search" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
        </label>
      </div>
      <label class="choice">
        <input
          type="checkbox"
          checked={overdue}
          onChange={(event) => setOverdue(event.currentTarget.checked)}
        />
        Only what is overdue
      </label>
      <NotRead
        problem={found.problem}
        what="the assignments"
        old={found.items !== undefined}
        onRetry={found.again}
      />
      <Items items={found.items} picked={picked} onPick={pick} />
      <div class="buttons">
        <ShowMore list={found} />
        {picked.size > 0 && (
          <button type="button" onClick={() => setAsking(true)}>
            Take away {counted(picked.size, "assignment", "assignments")}…
          </button>
        )}
      </div>
      <ListAge list={found} />
      {asking && <TakeAway picked={[...picked.values()]} onDo={takeAway} onClose={() => setAsking(false)} />}
      <Acts section={log} />
    </>
  );
}

function byCourse(items: readonly AssignmentItem[]): Map<string, AssignmentItem[]> {
  const found = new Map<string, AssignmentItem[]>();
  for (const item of items) found.set(item.courseId, [...(found.get(item.courseId) ?? []), item]);
  return found;
}

function Items(props: {
  items: readonly AssignmentItem[] | undefined;
  picked: ReadonlyMap<string, AssignmentItem>;
  onPick: (item: AssignmentItem, on: boolean) => void;
}) {
  const { items, picked, onPick } = props;
  if (items === undefined) return null;
  if (items.length === 0) return <p role="status">No assignment fits this.</p>;
  return (
    <Wide label="Assignments">
      <table>
        <thead>
          <tr>
            <th scope="col">
              <span class="unseen">Pick</span>
            </th>
            <th scope="col">Learner and course</th>
            <th scope="col">Lessons complete</th>
            <th scope="col">Due</th>
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={keyOf(item)}>
              <td>
                <input
                  type="checkbox"
                  aria-label={`${item.userName}, ${item.courseTitle}`}
                  checked={picked.has(keyOf(item))}
                  onChange={(event) => onPick(item, event.currentTarget.checked)}
                />
              </td>
              <th scope="row">
                {item.userName}
                <br />
                <span class="small">
                  {item.courseTitle}
                  <span class="roomy"> · {item.userEmail}</span>
                </span>
              </th>
              <td>
                {item.lessonsCompleted} of {item.lessons}
                <progress
                  max={Math.max(1, item.lessons)}
                  value={item.lessonsCompleted}
                  aria-label={`Progress of ${item.userName} in ${item.courseTitle}`}
                />
              </td>
              <td>
                <Due item={item} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Wide>
  );
}

function Due({ item }: { item: AssignmentItem }) {
  if (item.completed) return <span class="good">complete</span>;
  if (item.dueAt === null) return <span class="small">no due day</span>;
  return item.overdue ? (
    <strong class="bad">overdue since {onDay(item.dueAt)}</strong>
  ) : (
    <span>{onDay(item.dueAt)}</span>
  );
}

function TakeAway(props: { picked: readonly AssignmentItem[]; onDo: () => void; onClose: () => void }) {
  const { picked, onDo, onClose } = props;
  const { health } = usePortal();
  const { bulkHold, takeAwayHold } = useAdmin();
  const held = picked.length > 1 ? bulkHold.value : undefined;
  return (
    <Modal title={`Take away ${counted(picked.length, "assignment", "assignments")}?`} onClose={onClose}>
      <ul class="pick">
        {picked.map((item) => (
          <li key={keyOf(item)}>
            {item.courseTitle} from {item.userName}
          </li>
        ))}
      </ul>
      <p>
        What they did in it is kept, and comes back if you assign it again.
        {health.service.value.reach !== "reached" &&
          " The server can't be reached now: this is kept on this device and sent when it can."}
      </p>
      {held && <p class="note">{held}</p>}
      <HeldBack />
      <div class="buttons">
        <button
          type="button"
          onClick={onDo}
          disabled={held !== undefined || takeAwayHold.value !== undefined}
        >
          Take away
        </button>
        <button type="button" class="quiet" onClick={onClose}>
          Leave as it is
        </button>
      </div>
    </Modal>
  );
}
