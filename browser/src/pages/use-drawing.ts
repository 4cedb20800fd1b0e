import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

const DARK = "(prefers-color-scheme: dark)";

/** What is to be drawn; its width is the box's. */
export interface Drawing {
  readonly options: Omit<uPlot.Options, "width">;
  readonly data: uPlot.AlignedData;
}

/** Reads a colour by its name in `ground.css`, such as `--accent`, as it is at the moment. */
export type Colours = (name: string) => string;

/**
 * A box to hang up, and a drawing in it that is as wide as the box: drawn anew when the looks turn dark or
 * light, or when one of `changes` is another. `changes` always has the same length.
 */
export function useDrawing(
  draw: (colour: Colours, font: string) => Drawing,
  changes: readonly unknown[],
): RefObject<HTMLDivElement | null> {
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
    if (box === null) return undefined;
    // What is painted can't be painted anew for paper in time; its looks there go by this.
    box.dataset.drawn = dark ? "dark" : "light";
    const style = getComputedStyle(box);
    const { options, data } = draw((name) => style.getPropertyValue(name).trim(), style.fontFamily);
    const width = () => Math.max(1, box.clientWidth);
    const plot = new uPlot({ ...options, width: width() }, data, box);
    const watch = new ResizeObserver(() => {
      if (box.clientWidth > 0) plot.setSize({ width: width(), height: options.height });
    });
    watch.observe(box);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [...changes, dark]);

  return place;
}
