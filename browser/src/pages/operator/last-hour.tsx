import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { History } from "../../wire/operator";
import { AsOf, NothingYet } from "../read-state";
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

const NAMES: Record<string, string> = {
  backlog: "Saved, not yet applied (events)",
  lagMs: "Behind by (ms)",
  analyticsIngestLagMs: "Analytics behind by (ms)",
  deadLetters: "Dead letters",
  devicesBacklog: "Waiting on devices (events)",
  streams: "Open streams",
};

function Small({ name, at, row }: { name: string; at: readonly number[]; row: readonly number[] }) {
  const place = useRef<HTMLDivElement>(null);
  const title = NAMES[name] ?? name;
  useEffect(() => {
    const box = place.current;
    if (box === null) return undefined;
    const colour = (of: string) => getComputedStyle(box).getPropertyValue(of).trim();
    const plot = new uPlot(
      {
        width: Math.max(1, box.clientWidth),
        height: HEIGHT_PX,
        legend: { show: false },
        cursor: { show: false },
        scales: { y: { range: (_, __, most) => [0, Math.max(1, most) * 1.1] } },
        axes: [
          { stroke: colour("--ink-soft"), grid: { show: false }, space: 60, size: 26 },
          { stroke: colour("--ink-soft"), grid: { stroke: colour("--line"), width: 1 }, size: 48, space: 30 },
        ],
        series: [{}, { stroke: colour("--accent"), width: 1.5, points: { show: false } }],
      },
      [[...at], [...row]],
      box,
    );
    const watch = new ResizeObserver(() => {
      if (box.clientWidth > 0) plot.setSize({ width: box.clientWidth, height: HEIGHT_PX });
    });
    watch.observe(box);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [at, row]);
  const last = row.at(-1) ?? 0;
  const most = Math.max(...row);
  return (
    <figure>
      <figcaption>
        {title}: <strong>{Math.round(last)}</strong> now, at most {Math.round(most)}
      </figcaption>
      <div
        ref={place}
        role="img"
        aria-label={`${title}: ${Math.round(last)} now, at most ${Math.round(most)}`}
      />
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
