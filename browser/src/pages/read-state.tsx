import { inWords } from "../core/problem";
import type { Shown } from "../state/reads";
import { Heading } from "./heading";
import { usePortal } from "./use-portal";
import { atTime } from "./words";

/** Stands where a page would, until there is something to show. */
export function NothingYet({
  shown,
  what,
  onRetry,
}: {
  shown: Shown<unknown>;
  what: string;
  onRetry: () => void;
}) {
  if (shown.problem === undefined) return <p class="loading">Loading {what}…</p>;
  return (
    <section>
      <Heading title={`We could not load ${what}`} />
      <p role="alert">
        {inWords(shown.problem)} {shown.problem.hint}
      </p>
      <button type="button" onClick={onRetry} disabled={shown.loading}>
        {shown.loading ? "Trying…" : "Try again"}
      </button>
    </section>
  );
}

/** How old the figures above are; said always, because they are the server's and not this page's. */
export function AsOf({ shown, onRetry }: { shown: Shown<unknown>; onRetry: () => void }) {
  const { clock } = usePortal();
  if (shown.value === undefined) return null;
  return (
    <p class="as-of">
      {shown.fromDevice && "Shown from this device. "}
      {shown.asOf ? `As the server had it at ${atTime(shown.asOf, clock.now())}.` : "As the server had it."}
      {shown.problem && ` Newer figures could not be loaded: ${inWords(shown.problem)}`}{" "}
      <button type="button" class="quiet" onClick={onRetry} disabled={shown.loading}>
        {shown.loading ? "Looking…" : "Look again"}
      </button>
    </p>
  );
}
