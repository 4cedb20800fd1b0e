import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { inWords, type Problem } from "../../core/problem";
import { AsOf } from "../read-state";
import { usePortal } from "../use-portal";
import { atTime } from "../words";
import { type Paged, useAdmin } from "./use-admin";

/** Why a change was not made, and what to do; what was typed stays where it is. */
export function NotDone({ problem, what }: { problem: Problem | undefined; what: string }) {
  return (
    // Here from the start, so that its filling is announced.
    <p class="form-problem" role="alert">
      {problem && wordsOf(problem, what)}
    </p>
  );
}

function wordsOf(problem: Problem, what: string): string {
  const said = `${inWords(problem)} ${problem.hint}`.trim();
  switch (problem.family) {
    case "unreachable":
      return `${said} So it is not known whether ${what}. Nothing you typed is lost: try again when the server answers; doing it twice does no harm.`;
    case "signIn":
      return `Your session has ended, so it is not so that ${what}. Sign in again; nothing you typed is lost.`;
    case "later":
      return `${said} It is not so that ${what}. Nothing you typed is lost: try again in a while.`;
    case "garbled":
      return `Something between this device and the server answered in its place, so it is not known whether ${what}. Nothing you typed is lost.`;
    case "refused":
      return said;
  }
}

/** Why nothing can be taken away now, and until when that is likely to be so. */
export function HeldBack() {
  const { clock } = usePortal();
  const hold = useAdmin().takeAwayHold.value;
  if (hold === undefined) return null;
  return (
    <p class="note">
      Nothing can be taken away now: {hold.lost} It is likely to be over by{" "}
      {atTime(hold.expectedEndAt, clock.now())}. What adds something still goes through.
    </p>
  );
}

/** A list that is not there yet, can't be shown, or is not as new as it should be. */
export function NotRead({
  problem,
  what,
  old,
  onRetry,
}: {
  problem: Problem | undefined;
  what: string;
  /** Whether an older answer stands on the page. */
  old: boolean;
  onRetry: () => void;
}) {
  if (problem === undefined) return old ? null : <p class="loading">Loading {what}…</p>;
  return (
    <p role="alert">
      We could not load {what}: {inWords(problem)} {problem.hint}{" "}
      {old && "What stands here is what the server said before. "}
      <button type="button" class="quiet" onClick={onRetry}>
        Try again
      </button>
    </p>
  );
}

/** The next page of a list that has one. */
export function ShowMore({ list: { next, more, loading } }: { list: Paged<unknown> }) {
  if (next === null) return null;
  return (
    <button type="button" class="quiet" onClick={more} disabled={loading}>
      {loading ? "Loading…" : "Show more"}
    </button>
  );
}

/** How old a list is. Why it is no newer stands above it already. */
export function ListAge({ list: { items, problem, ...list } }: { list: Paged<unknown> }) {
  return <AsOf shown={{ ...list, value: items }} onRetry={list.again} />;
}

/** A file by the file picker, or dropped. The native field does the work; the frame around it is a larger target. */
export function FileField({
  label,
  hint,
  accept,
  busy = false,
  onFile,
}: {
  label: string;
  hint: ComponentChildren;
  accept: string;
  busy?: boolean;
  onFile: (file: File) => void;
}) {
  const [over, setOver] = useState(false);
  const hintId = useId();
  const take = (files: FileList | null | undefined) => {
    const file = files?.[0];
    if (file && !busy) onFile(file);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a place to drop on; the field in it is what one uses
    <div
      class={`drop ${over ? "drop-over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        take(event.dataTransfer?.files);
      }}
    >
      <label class="field">
        {label}
        <input
          type="file"
          accept={accept}
          disabled={busy}
          aria-describedby={hintId}
          onChange={(event) => {
            take(event.currentTarget.files);
            // The same file can be chosen again after it was mended.
            event.currentTarget.value = "";
          }}
        />
      </label>
      <p class="small" id={hintId}>
        {hint} You can also drop the file here.
      </p>
    </div>
  );
}

/** A table that scrolls by itself where the page is too narrow for it. */
export function Wide({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset groups controls, this groups a table
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div class="wide" role="group" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}

/** Puts a text the page has into a file of the person's. */
export function saveFile(text: string, type: string, name: string): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser takes the file over before the next turn; after it the address may go.
  setTimeout(() => URL.revokeObjectURL(address), 1_000);
}
