import { useId, useState } from "preact/hooks";
import { everyDay } from "../../state/admin-days";
import type { CourseInsight, CourseTable, Overview, OverviewTable } from "../../wire/admin";
import type { Answer } from "../../wire/client";
import { Heading } from "../heading";
import { AsOf, NothingYet } from "../read-state";
import { usePortal, useRead } from "../use-portal";
import { ago, atTime, counted, onDay } from "../words";
import { NotDone, saveFile, Wide } from "./parts";
import { Plot, type Series } from "./plot";
import { useAdmin, useChange } from "./use-admin";

/** How the school is doing. Loaded when it is opened, with the drawing of charts. */
export function ChartsPage({ courseId }: { courseId: string | undefined }) {
  return courseId === undefined ? <OverviewPage /> : <CoursePage key={courseId} courseId={courseId} />;
}

const HEARD = [
  ["lastDay", "last day"],
  ["lastWeek", "last week"],
  ["lastMonth", "last month"],
  ["earlier", "earlier"],
  ["never", "never"],
] as const satisfies readonly (readonly [keyof Overview["heard"], string])[];

function OverviewPage() {
  const { reads } = usePortal();
  const { calls } = useAdmin();
  const read = reads.of("admin overview", calls.overview);
  const shown = useRead(read);
  const retry = () => void read.load();
  const found = shown.value;
  if (found === undefined) return <NothingYet shown={shown} what="how it goes" onRetry={retry} />;
  const csv = (table: OverviewTable) => () => calls.overviewCsv(table);
  const heard = HEARD.map(([key, name]) => [name, found.heard[key] ?? 0] as const);
  return (
    <>
      <Heading title="How it goes" />
      <Fresh at={found.dataFreshAsOf} />
      <p>
        {counted(found.learners, "learner", "learners")}, {found.activeLearners7d} active in the last seven
        days.
      </p>
      <Completed days={found.completed} csv={csv("completed")} />
      <ByCourse courses={found.courses} csv={csv("courses")} />
      <Chart
        title="When each learner was last heard of"
        about="By when the last of their work reached the server. Who is offline for long stands further right."
        labels={heard.map(([name]) => name)}
        series={[{ name: "Learners", values: heard.map(([, count]) => count), colour: "--accent" }]}
        head="Last heard of"
        csv={csv("heard")}
        file="last-heard-of.csv"
      />
      <AsOf shown={shown} onRetry={retry} />
    </>
  );
}

function CoursePage({ courseId }: { courseId: string }) {
  const { reads } = usePortal();
  const { calls } = useAdmin();
  const read = reads.of(`admin insight ${courseId}`, () => calls.courseInsight(courseId));
  const shown = useRead(read);
  const retry = () => void read.load();
  const found = shown.value;
  if (found === undefined) return <NothingYet shown={shown} what="how this course goes" onRetry={retry} />;
  const csv = (table: CourseTable) => () => calls.courseCsv(courseId, table);
  return (
    <>
      <p class="way">
        <a href="/admin/charts">How it goes</a>
      </p>
      <Heading title={`How “${found.title}” goes`} />
      <Fresh at={found.dataFreshAsOf} />
      <p>
        Assigned to {counted(found.assigned, "learner", "learners")}; {found.started} started it,{" "}
        {found.completed} completed it.
      </p>
      <DropOff lessons={found.lessons} csv={csv("lessons")} />
      <Completed days={found.completedByDay} csv={csv("completed")} />
      <AsOf shown={shown} onRetry={retry} />
    </>
  );
}

const LATE_MS = 60_000;

/** How fresh the numbers are: what was saved after that moment is not counted yet. */
function Fresh({ at }: { at: string }) {
  const { clock } = usePortal();
  const late = clock.now() - Date.parse(at) > LATE_MS;
  return (
    <p class={late ? "note" : "small"}>
      Data as of {atTime(at, clock.now())}
      {late &&
        ` (${ago(at, clock.now())}): what was saved since then waits to be applied and is not counted yet`}
      .
    </p>
  );
}

interface DayRow {
  day: string;
  lessons: number;
  learners: number;
}

function Completed({ days, csv }: { days: DayRow[]; csv: () => Promise<Answer<string>> }) {
  const every = everyDay(days);
  return (
    <Chart
      title="Lessons completed, by day"
      about="By the day on which the server received it (UTC)."
      labels={every.map(({ day }) => day.slice(5))}
      rows={every.map(({ day }) => onDay(`${day}T12:00:00Z`))}
      series={[
        { name: "Lessons", values: every.map(({ lessons }) => lessons), colour: "--accent" },
        { name: "Learners", values: every.map(({ learners }) => learners), colour: "--wait" },
      ]}
      head="Day"
      csv={csv}
      file="completed.csv"
    />
  );
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

function DropOff({
  lessons,
  csv,
}: {
  lessons: CourseInsight["lessons"];
  csv: () => Promise<Answer<string>>;
}) {
  return (
    <Chart
      title="Where learners stop"
      about="Dropped: of those who started the lesson before, how many have not started this one."
      labels={lessons.map((_, at) => String(at + 1))}
      rows={lessons.map(({ title }, at) => `${at + 1}. ${title}`)}
      series={[
        { name: "Started", values: lessons.map(({ started }) => started), colour: "--wait" },
        { name: "Completed", values: lessons.map(({ completed }) => completed), colour: "--accent" },
      ]}
      more={{ name: "Dropped", cells: lessons.map(({ dropOff }) => percent(dropOff)) }}
      head="Lesson"
      open
      csv={csv}
      file="lessons.csv"
    />
  );
}

/** Courses have long names, so this one is a table whose bars stand in its cells. */
function ByCourse({ courses, csv }: { courses: Overview["courses"]; csv: () => Promise<Answer<string>> }) {
  return (
    <section>
      <h2>Completion by course</h2>
      {courses.length === 0 && <p>There is no course yet.</p>}
      {courses.length > 0 && (
        <Wide label="Completion by course">
          <table>
            <thead>
              <tr>
                <th scope="col">Course</th>
                <th scope="col">Assigned</th>
                <th scope="col">Started</th>
                <th scope="col">Completed</th>
              </tr>
            </thead>
            <tbody>
              {courses.map((course) => (
                <tr key={course.id}>
                  <th scope="row">
                    <a href={`/admin/charts/${encodeURIComponent(course.id)}`}>{course.title}</a>
                  </th>
                  <td>{course.assigned}</td>
                  <td>{course.started}</td>
                  <td>
                    {course.completed} ({percent(course.completionRate)})
                    <progress
                      max={1}
                      value={course.completionRate}
                      aria-label={`Completed ${course.title}`}
                    />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Wide>
      )}
      <Download csv={csv} file="courses.csv" />
    </section>
  );
}

function Chart(props: {
  title: string;
  about: string;
  /** Below the bars. */
  labels: readonly string[];
  /** In the table, where they may be longer. */
  rows?: readonly string[];
  series: readonly Series[];
  /** A column that the table alone has. */
  more?: { readonly name: string; readonly cells: readonly string[] };
  head: string;
  open?: boolean;
  csv: () => Promise<Answer<string>>;
  file: string;
}) {
  const { title, about, labels, rows = labels, series, more, head, open = false, csv, file } = props;
  const titleId = useId();
  const empty = labels.length === 0;
  return (
    <section aria-labelledby={titleId}>
      <h2 id={titleId}>{title}</h2>
      <p class="small">{about}</p>
      {empty ? (
        <p class="plot plot-empty">There is nothing to show yet.</p>
      ) : (
        <Plot label={title} labels={labels} series={series} />
      )}
      {!empty && (
        <details open={open}>
          <summary>The same numbers as a table</summary>
          <Wide label={title}>
            <table>
              <thead>
                <tr>
                  <th scope="col">{head}</th>
                  {series.map(({ name }) => (
                    <th scope="col" key={name}>
                      {name}
                    </th>
                  ))}
                  {more && <th scope="col">{more.name}</th>}
                </tr>
              </thead>
              <tbody>
                {rows.map((row, at) => (
                  <tr key={row}>
                    <th scope="row">{row}</th>
                    {series.map(({ name, values }) => (
                      <td key={name}>{values[at]}</td>
                    ))}
                    {more && <td>{more.cells[at]}</td>}
                  </tr>
                ))}
              </tbody>
            </table>
          </Wide>
        </details>
      )}
      <Download csv={csv} file={file} />
    </section>
  );
}

function Download({ csv, file }: { csv: () => Promise<Answer<string>>; file: string }) {
  const { busy, problem, send } = useChange<string>();
  const [saved, setSaved] = useState(false);
  async function get() {
    setSaved(false);
    const text = await send(csv);
    if (text === undefined) return;
    saveFile(text, "text/csv;charset=utf-8", file);
    setSaved(true);
  }
  return (
    <div class="buttons">
      <button type="button" class="quiet" disabled={busy} onClick={() => void get()}>
        {busy ? "Loading…" : `Save as CSV`} <span class="unseen">{file}</span>
      </button>
      <span class="small" role="status">
        {saved && `${file} is in your downloads.`}
      </span>
      <NotDone problem={problem} what="the file was made" />
    </div>
  );
}
