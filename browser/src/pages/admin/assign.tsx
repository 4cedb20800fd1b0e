import { useEffect, useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import {
  type AssignDraft,
  assignedOf,
  dueAtOf,
  EMPTY_DRAFT,
  faultsOf,
  LONGEST_NOTE,
} from "../../state/admin-draft";
import { Heading } from "../heading";
import { Modal, useFocusAfter } from "../modal";
import { AsOf, NothingYet } from "../read-state";
import { counted, onDay } from "../words";
import { Acts } from "./acts";
import { ChooseByFile } from "./choose-by-file";
import { ChooseBySearch } from "./choose-by-search";
import { Chosen } from "./chosen";
import { useCourses } from "./courses";
import { useAdmin } from "./use-admin";

export const learners = (count: number): string => counted(count, "learner", "learners");

export function AssignPage() {
  const { draft, assigning, bulkHold } = useAdmin();
  const { query } = useLocation();
  const { read, shown } = useCourses();
  const [by, setBy] = useState<"search" | "file">("search");
  const [faults, setFaults] = useState<string[]>([]);
  /** What is asked about, as it was then: a late answer may still add people to the draft. */
  const [reviewing, setReviewing] = useState<AssignDraft>();
  const log = useRef<HTMLElement>(null);
  const showLog = useFocusAfter(log);

  const set = (change: Partial<AssignDraft>) => {
    draft.value = { ...draft.value, ...change };
    setFaults([]);
  };
  useEffect(() => {
    if (query.course) set({ courseId: query.course });
  }, [query.course]);

  const courses = shown.value?.items;
  if (courses === undefined) {
    return (
      <>
        <NothingYet shown={shown} what="the courses" onRetry={() => void read.load()} />
        {/* What waits on this device is known without the server. */}
        <Acts section={log} />
      </>
    );
  }
  const { courseId, chosen, dueDay, note } = draft.value;
  const course = courses.find(({ id }) => id === courseId);
  const held = chosen.size > 1 ? bulkHold.value : undefined;

  function review(event: Event) {
    event.preventDefault();
    const found = faultsOf({ ...draft.value, courseId: course?.id ?? "" });
    setFaults(found);
    if (found.length === 0 && held === undefined) setReviewing(draft.value);
  }

  function assign(reviewed: AssignDraft, title: string) {
    assigning.assign(assignedOf(reviewed, title));
    draft.value = { ...EMPTY_DRAFT, courseId: reviewed.courseId };
    setReviewing(undefined);
    showLog();
  }

  return (
    <>
      <Heading title="Assign a course" />
      <form onSubmit={review}>
        <label class="field">
          Course
          <select value={course?.id ?? ""} onChange={(event) => set({ courseId: event.currentTarget.value })}>
            <option value="">Choose one</option>
            {courses.map(({ id, title, archived }) => (
              <option key={id} value={id}>
                {title}
                {archived && " (hidden from learners)"}
              </option>
            ))}
          </select>
        </label>
        {shown.fromDevice && <AsOf shown={shown} onRetry={() => void read.load()} />}
        <fieldset class="choices">
          <legend>Whom</legend>
          <div class="buttons">
            {(["search", "file"] as const).map((way) => (
              <label class="choice" key={way}>
                <input type="radio" name="by" checked={by === way} onChange={() => setBy(way)} />
                {way === "search" ? "By search" : "By a file"}
              </label>
            ))}
          </div>
          {/* Both stay: what was typed or read is there again after a look at the other. */}
          <div hidden={by !== "search"}>
            <ChooseBySearch courseId={course?.id ?? ""} />
          </div>
          <div hidden={by !== "file"}>
            <ChooseByFile />
          </div>
          <Chosen />
        </fieldset>
        <div class="filters">
          <label class="field">
            Due on <span class="small">(may stay empty)</span>
            <input
              type="date"
              value={dueDay}
              // As the draft has it: nothing that a new version would have to wait for.
              defaultValue={dueDay}
              onInput={(event) => set({ dueDay: event.currentTarget.value })}
            />
          </label>
          <label class="field">
            Note to the learners <span class="small">(may stay empty)</span>
            <input
              type="text"
              maxLength={LONGEST_NOTE}
              value={note}
              defaultValue={note}
              onInput={(event) => set({ note: event.currentTarget.value })}
            />
          </label>
        </div>
        <p class="form-problem" role="alert">
          {faults.join(" ")}
        </p>
        <p class="note bulk-hold" role="status">
          {held}
        </p>
        <button type="submit" disabled={held !== undefined}>
          See what will happen
        </button>
      </form>
      {reviewing && course && (
        <Review
          draft={reviewing}
          courseTitle={course.title}
          onAssign={() => assign(reviewing, course.title)}
          onClose={() => setReviewing(undefined)}
        />
      )}
      <Acts section={log} />
    </>
  );
}

/** What will happen, before it does. */
function Review(props: {
  draft: AssignDraft;
  courseTitle: string;
  onAssign: () => void;
  onClose: () => void;
}) {
  const { bulkHold } = useAdmin();
  const { chosen, dueDay, note } = props.draft;
  const closed = [...chosen.values()].filter(({ active }) => !active);
  const dueAt = dueAtOf(dueDay);
  const held = chosen.size > 1 ? bulkHold.value : undefined;
  return (
    <Modal title={`Assign “${props.courseTitle}”?`} onClose={props.onClose}>
      <ul>
        <li>
          {learners(chosen.size)} will get it{dueAt ? `, due on ${onDay(dueAt)}` : ", without a due day"}.
        </li>
        <li>Who has it already keeps it, with this due day and this note.</li>
        {note.trim() && <li>They read the note: “{note.trim()}”</li>}
        {closed.length > 0 && (
          <li>
            {learners(closed.length)} will be refused, because they are closed:{" "}
            {closed.map(({ name }) => name).join(", ")}.
          </li>
        )}
        <li>
          It is kept on this device first and sent when the server can be reached; you see below what became
          of it.
        </li>
      </ul>
      {held && <p class="note">{held}</p>}
      <div class="buttons">
        <button type="button" onClick={props.onAssign} disabled={held !== undefined}>
          Assign to {learners(chosen.size)}
        </button>
        <button type="button" class="quiet" onClick={props.onClose}>
          Go back
        </button>
      </div>
    </Modal>
  );
}
