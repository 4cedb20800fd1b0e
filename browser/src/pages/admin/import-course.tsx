import { useState } from "preact/hooks";
import type { CourseRow, ImportReport } from "../../wire/admin";
import { Modal } from "../modal";
import { counted } from "../words";
import { coursePath } from "./courses";
import { FileField, HeldBack, NotDone } from "./parts";
import { useAdmin, useChange } from "./use-admin";

const LARGEST_BYTES = 64 * 1024 * 1024;
const COURSE_ID = /^[a-z0-9][a-z0-9-]{0,63}$/;

/** A course from a zip: whole or not at all, and never over another one without asking. */
export function ImportCourse({ courses, onImported }: { courses: CourseRow[]; onImported: () => void }) {
  const { calls } = useAdmin();
  const { busy, problem, send, clear } = useChange<ImportReport>();
  const [file, setFile] = useState<File>();
  const [report, setReport] = useState<ImportReport>();
  const [tooLarge, setTooLarge] = useState("");
  const [asked, setAsked] = useState<ImportReport>();

  async function begin(chosen: File, choice: { id?: string; existing: "ask" | "replace" }) {
    setFile(chosen);
    setReport(undefined);
    setAsked(undefined);
    setTooLarge("");
    if (chosen.size > LARGEST_BYTES) {
      clear();
      setTooLarge(`${chosen.name} is larger than the 64 MB that can be imported at once.`);
      return;
    }
    const found = await send(() => calls.importCourse(chosen, choice));
    if (found === undefined) return;
    if (found.freeId) setAsked(found);
    else {
      setReport(found);
      onImported();
    }
  }

  return (
    <section aria-labelledby="import-heading">
      <h2 id="import-heading">Import a course</h2>
      <FileField
        label="Course as a zip file"
        hint="A zip of a folder with lessons in Markdown. It is imported whole, or nothing of it is."
        accept=".zip,application/zip"
        busy={busy}
        onFile={(chosen) => void begin(chosen, { existing: "ask" })}
      />
      <p role="status">
        {busy && file && `Importing ${file.name}…`}
        {report && headOf(report)}
      </p>
      <NotDone problem={problem} what="the course was imported" />
      <p class="form-problem" role="alert">
        {tooLarge}
      </p>
      {problem && file && !busy && (
        <button type="button" class="quiet" onClick={() => void begin(file, { existing: "ask" })}>
          Try {file.name} again
        </button>
      )}
      {asked?.freeId && file && (
        <WhichOne
          asked={asked}
          freeId={asked.freeId}
          there={courses.find(({ id }) => id === asked.courseId)}
          onReplace={() => void begin(file, { id: asked.courseId, existing: "replace" })}
          onKeepBoth={(id) => void begin(file, { id, existing: "ask" })}
          onCancel={() => setAsked(undefined)}
        />
      )}
      {report && <Report report={report} />}
    </section>
  );
}

function WhichOne(props: {
  asked: ImportReport;
  freeId: string;
  there: CourseRow | undefined;
  onReplace: () => void;
  onKeepBoth: (id: string) => void;
  onCancel: () => void;
}) {
  const { asked, there, onReplace, onKeepBoth, onCancel } = props;
  const { takeAwayHold } = useAdmin();
  const [id, setId] = useState(props.freeId);
  const wrong = !COURSE_ID.test(id);
  return (
    <Modal title="There is such a course already" onClose={onCancel}>
      <p>
        The course “{there?.title ?? asked.title}” has the id <code>{asked.courseId}</code>, and so would the
        one you import. Nothing has been changed yet.
      </p>
      {there && (
        <p>
          It has {counted(there.lessonCount, "lesson", "lessons")} and is assigned to{" "}
          {counted(there.assignedCount, "learner", "learners")}. Replacing keeps their progress in lessons
          whose files have the same names.
        </p>
      )}
      <HeldBack />
      <div class="buttons">
        <button type="button" onClick={onReplace} disabled={takeAwayHold.value !== undefined}>
          Replace it
        </button>
        <button type="button" class="quiet" onClick={onCancel}>
          Import nothing
        </button>
      </div>
      <form
        class="keep-both"
        onSubmit={(event) => {
          event.preventDefault();
          if (!wrong) onKeepBoth(id);
        }}
      >
        <label class="field">
          Or keep both: the id of the new one
          <input
            type="text"
            value={id}
            spellcheck={false}
            aria-invalid={wrong}
            onInput={(event) => setId(event.currentTarget.value)}
          />
        </label>
        <p class="small">Small letters, digits and hyphens. It stands in the course’s address.</p>
        <button type="submit" class="quiet" disabled={wrong}>
          Keep both
        </button>
      </form>
    </Modal>
  );
}

function headOf({ title, lessons, figures, unchanged, replaced }: ImportReport): string {
  const what = unchanged
    ? "was here just so; nothing was changed"
    : replaced
      ? "was replaced"
      : "was imported";
  return `“${title}” ${what}: ${counted(lessons, "lesson", "lessons")}, ${counted(figures, "figure", "figures")}.`;
}

function Report({ report: { courseId, dangling, warnings } }: { report: ImportReport }) {
  return (
    <div class="report">
      <p>
        <a href={coursePath(courseId)}>Look at the course</a>
      </p>
      {dangling.length > 0 && (
        <details open={dangling.length <= 5}>
          <summary>{counted(dangling.length, "link leads", "links lead")} nowhere</summary>
          <p class="small">The course works; these links can’t be followed in it.</p>
          <ul>
            {dangling.map((link) => (
              <li key={`${link.file} ${link.target}`}>
                <code>{link.target}</code> in <code>{link.file}</code>: {link.why}
              </li>
            ))}
          </ul>
        </details>
      )}
      {warnings.length > 0 && (
        <details open={warnings.length <= 5}>
          <summary>{counted(warnings.length, "thing is", "things are")} worth a look</summary>
          <ul>
            {warnings.map((words) => (
              <li key={words}>{words}</li>
            ))}
          </ul>
        </details>
      )}
      {dangling.length === 0 && warnings.length === 0 && <p>Nothing in it needs mending.</p>}
    </div>
  );
}
