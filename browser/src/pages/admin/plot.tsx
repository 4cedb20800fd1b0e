import uPlot from "uplot";
import { type Colours, type Drawing, useDrawing } from "../use-drawing";

export interface Series {
  readonly name: string;
  readonly values: readonly number[];
  /** A name of `ground.css`, such as `--accent`. */
  readonly colour: string;
}

const HEIGHT_PX = 220;

/** Bars, one group for each label. What they show stands beside them as a table: nobody has to see them. */
export function Plot({
  label,
  labels,
  series,
}: {
  label: string;
  labels: readonly string[];
  series: readonly Series[];
}) {
  const place = useDrawing(
    (colour, font) => drawingOf(colour, font, labels, series),
    [labels.join("\n"), JSON.stringify(series)],
  );

  return (
    <>
      <div
        class="plot"
        role="img"
        aria-label={`${label}. The numbers stand in the table below.`}
        ref={place}
      />
      <ul class="legend" aria-hidden="true">
        {series.map(({ name, colour }) => (
          <li key={name}>
            <span class="swatch" style={{ background: `var(${colour})` }} /> {name}
          </li>
        ))}
      </ul>
    </>
  );
}

function dataOf(labels: readonly string[], series: readonly Series[]): uPlot.AlignedData {
  return [labels.map((_, at) => at), ...series.map(({ values }) => [...values])];
}

function drawingOf(
  colour: Colours,
  font: string,
  labels: readonly string[],
  series: readonly Series[],
): Drawing {
  const axis = {
    stroke: colour("--ink-soft"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1 },
    font: `13px ${font}`,
  };
  const share = 0.8 / series.length;
  const options: Drawing["options"] = {
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: false, range: () => [-0.6, labels.length - 0.4] },
      y: { range: (_, __, most) => [0, Math.max(1, most) * 1.05] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        incrs: [1, 2, 5, 7, 10, 20, 50, 100],
        space: 56,
        values: (_, at) => at.map((x) => labels[x] ?? ""),
      },
      {
        ...axis,
        size: 44,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000],
      },
    ],
    series: [
      {},
      ...series.map(({ name, colour: of }, at) => ({
        label: name,
        fill: colour(of),
        stroke: colour(of),
        width: 0,
        points: { show: false },
        paths: uPlot.paths.bars?.({
          size: [share, 44],
          align: series.length === 1 ? 0 : at === 0 ? -1 : 1,
        }) as uPlot.Series.PathBuilder,
      })),
    ],
  };
  return { options, data: dataOf(labels, series) };
}
