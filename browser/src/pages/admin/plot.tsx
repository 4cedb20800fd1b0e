import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Series {
  readonly name: string;
  readonly values: readonly number[];
  /** A name of `ground.css`, such as `--accent`. */
  readonly colour: string;
}

const HEIGHT_PX = 220;
const DARK = "(prefers-color-scheme: dark)";

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
  const place = useRef<HTMLDivElement>(null);
  const [dark, setDark] = useState(() => matchMedia(DARK).matches);

  useEffect(() => {
    const query = matchMedia(DARK);
    const heard = () => setDark(query.matches);
    query.addEventListener("change", heard);
    return () => query.removeEventListener("change", heard);
  }, []);

  useEffect(() => {
    const box = place.current;
    if (box === null) return;
    // What is painted can't be painted anew for paper in time; its looks there go by this.
    box.dataset.drawn = dark ? "dark" : "light";
    const plot = new uPlot(optionsOf(box, labels, series), dataOf(labels, series), box);
    const watch = new ResizeObserver(() => {
      if (box.clientWidth > 0) plot.setSize({ width: box.clientWidth, height: HEIGHT_PX });
    });
    watch.observe(box);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [labels.join("\n"), JSON.stringify(series), dark]);

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

function optionsOf(box: HTMLElement, labels: readonly string[], series: readonly Series[]): uPlot.Options {
  const style = getComputedStyle(box);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--ink-soft"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1 },
    font: `13px ${style.fontFamily}`,
  };
  const share = 0.8 / series.length;
  return {
    width: Math.max(1, box.clientWidth),
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
}
