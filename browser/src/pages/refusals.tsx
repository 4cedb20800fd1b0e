/** What the server will not have, and what this device lost: with reasons, and what a person can do. */
import { useState } from "preact/hooks";
import type { Loss, Undeliverable } from "../outbox/entry";
import { Mark } from "./marks";
import { usePortal } from "./use-portal";
import { atTime, bare, counted } from "./words";

export function Refusals({ onSave }: { onSave: () => void }) {
  const { outbox } = usePortal();
  const items = outbox.undeliverable.value;
  if (items.length === 0) return null;
  return (
    <section aria-labelledby="refusals">
      <h2 id="refusals">What the server will not have</h2>
      <p>
        {counted(items.length, "thing", "things")} you did {items.length === 1 ? "was" : "were"} refused, and
        sending again by itself would not help. Nothing is thrown away until you put it away. Save it as a
        file and hand the file to your teacher or to whoever runs the portal: they can enter it for you.
      </p>
      <p>
        <button type="button" onClick={onSave}>
          Save a copy as a file
        </button>
      </p>
      <ul class="waiting">
        {items.map((item) => (
          <Refusal key={item.id} item={item} />
        ))}
      </ul>
    </section>
  );
}

const ASK_AND_TRY = "Ask your teacher about it; once the cause is mended, try again.";
const ASK_AND_REDO =
  "As it stands it can’t be sent again. Save a copy for your teacher, and do again what is missing.";

function Refusal({ item }: { item: Undeliverable }) {
  const { outbox, clock } = usePortal();
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState("");
  const { id, entry, reason, hint, code, since } = item;
  // Of an entry without a number nothing proves that it is whole; earlier builds refused some like that.
  const canGo = code !== "damaged" && entry.seq > 0;

  function act(work: Promise<unknown>) {
    setBusy(true);
    setTrouble("");
    work
      .then((done) => done === false && setTrouble("It could not be sent again. It is still here."))
      .catch(() => setTrouble("This device’s storage did not answer. Nothing was changed."))
      .finally(() => setBusy(false));
  }

  return (
    <li>
      <Mark sign="stop" />
      <div>
        {entry.label ?? entry.kind}
        <p class="small">
          Done {atTime(entry.createdAt, clock.now())}, refused {atTime(since, clock.now())}.
        </p>
        <p>
          <strong>Why:</strong> {reason} <span class="small">({code})</span>
        </p>
        <p>
          <strong>What you can do:</strong> {hint || (canGo ? ASK_AND_TRY : ASK_AND_REDO)}
        </p>
        <p class="buttons">
          {canGo && (
            <button type="button" class="quiet" disabled={busy} onClick={() => act(outbox.tryAgain(id))}>
              Try again
            </button>
          )}
          <button type="button" class="quiet" disabled={busy} onClick={() => act(outbox.putAway(id))}>
            I have read this, put it away
          </button>
          {trouble && <span role="alert">{trouble}</span>}
        </p>
      </div>
    </li>
  );
}

export function Losses() {
  const { outbox } = usePortal();
  const losses = outbox.losses.value;
  if (losses.length === 0) return null;
  return (
    <section aria-labelledby="losses">
      <h2 id="losses">What this device lost</h2>
      <p>
        Every event gets a running number here. These numbers are neither on this device nor on the server any
        more. We are sorry: please look whether your last lessons show as complete, and do again what is
        missing.
      </p>
      <ul class="waiting">
        {losses.map((loss) => (
          <LossRow key={loss.id} loss={loss} />
        ))}
      </ul>
    </section>
  );
}

function LossRow({ loss }: { loss: Loss }) {
  const { clock } = usePortal();
  const count = loss.missing.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  const numbers = loss.missing.map(([from, to]) => (from === to ? `${from}` : `${from} to ${to}`)).join(", ");
  return (
    <li>
      <Mark sign="stop" />
      <div>
        {counted(count, "event", "events")} lost: number {numbers}
        <p class="small">
          Noticed {atTime(loss.noticedAt, clock.now())}. Cause: {bare(loss.cause)}.{" "}
          {loss.told ? "The server has been told." : "The server is told as soon as it can be reached."}
        </p>
      </div>
    </li>
  );
}
