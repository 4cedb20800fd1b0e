import { useEffect } from "preact/hooks";
import type { History } from "../../wire/operator";
import { AsOf, NothingYet } from "../read-state";
import { useDrawing } from "../use-drawing";
import { usePortal, useRead } from "../use-portal";
import { atTime } from "../words";
import { useOperator } from "./use-operator";

const HEIGHT_PX = 110;
const LOOK_EVERY_MS = 10_000;

/** Queues and lag of the last hour, and what changed: small charts, and the same in words. */
export function LastHour() {
  const { reads } = usePortal();
  const read = reads.of("operator history", useOperator().history);
  const shown = useRead(read);
  const retry = () => void read.load();
  useEffect(() => {
    const timer = setInterval(retry, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [read]);
  const history = shown.value;
  if (history === undefined) return <NothingYet shown={shown} what="the last hour" onRetry={retry} />;
  const { at, values } = history.readings;
  return (
    <section>
      <h2>The last hour</h2>
      {at.length < 2 && <p>The portal has just started: readings are taken every ten seconds.</p>}
      {at.length >= 2 && (
        <div class="small-charts">
          {Object.entries(values).map(([name, row]) => (
            <Small key={name} name={name} at={at} row={row} />
          ))}
        </div>
      )}
      <Changes changes={history.changes} />
      <AsOf shown={shown} onRetry={retry} />
    </section>
  );
}

interface Measured {
  readonly title: string;
  /** What one of the unit is in the server's numbers. */
  readonly by: number;
  readonly unit: string;
}

const COUNTED = { by: 1, unit: "" };
const TIMED = { by: 1_000, unit: " s" };
const MEASURED: Record<string, Measured> = {
  backlog: { title: "Events saved, not yet applied", ...COUNTED },
  lagMs: { title: "Behind by", ...TIMED },
  analyticsIngestLagMs: { title: "Analytics behind by", ...TIMED },
  deadLetters: { title: "Dead letters", ...COUNTED },
  devicesBacklog: { title: "Events waiting on devices", ...COUNTED },
  streams: { title: "Open streams", ...COUNTED },
};

const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat(undefined, { notation: "compact" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const WHOLE_MINUTES = [1, 2, 5, 10, 15, 20, 30, 60].map((minutes) => minutes * 60);
const WHOLE = [0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));

function Small({ name, at, row }: { name: string; at: readonly number[]; row: readonly number[] }) {
  const { title, by, unit } = MEASURED[name] ?? { title: name, ...COUNTED };
  const place = useDrawing(
    (colour, font) => {
      const axis = { stroke: colour("--ink-soft"), font: `12px ${font}` };
      return {
        data: [[...at], row.map((value) => value / by)],
        options: {
          height: HEIGHT_PX,
          legend: { show: false },
          cursor: { show: false },
          scales: { y: { range: (_, __, most) => [0, Math.max(1, most) * 1.1] } },
          axes: [
            {
              ...axis,
              grid: { show: false },
              space: 60,
              size: 26,
              incrs: WHOLE_MINUTES,
              values: (_, splits) => splits.map((s) => minute.format(s * 1_000)),
            },
            {
              ...axis,
              grid: { stroke: colour("--line"), width: 1 },
              size: 48,
              space: 30,
              incrs: WHOLE,
              values: (_, splits) => splits.map((value) => short.format(value)),
            },
          ],
          series: [{}, { stroke: colour("--accent"), width: 1.5, points: { show: false } }],
        },
      };
    },
    [at, row],
  );
  const said = (value: number) => `${number.format(value / by)}${unit}`;
  const last = said(row.at(-1) ?? 0);
  const most = said(Math.max(...row));
  return (
    <figure>
      <figcaption>
        {title}
        <br />
        <strong>{last}</strong> now, at most {most}
      </figcaption>
      <div ref={place} class="plot" role="img" aria-label={`${title}: ${last} now, at most ${most}`} />
    </figure>
  );
}

function Changes({ changes }: { changes: History["changes"] }) {
  const { clock } = usePortal();
  if (changes.length === 0) return <p>Nothing has changed since the portal started.</p>;
  return (
    <>
      <h3>What changed</h3>
      <ul class="rows">
        {changes
          .slice(-20)
          .reverse()
          .map((change) => (
            <li key={change.at}>
              {atTime(change.at, clock.now())}: {change.status}
              {change.begun.length > 0 && `, began: ${change.begun.join(", ")}`}
              {change.ended.length > 0 && `, over: ${change.ended.join(", ")}`}
            </li>
          ))}
      </ul>
    </>
  );
}
