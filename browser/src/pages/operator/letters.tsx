import { useState } from "preact/hooks";
import type { DeadLetter } from "../../wire/operator";
import { NotDone, NotRead } from "../admin/parts";
import { useChange, usePaged } from "../admin/use-admin";
import { Heading } from "../heading";
import { usePortal } from "../use-portal";
import { atTime } from "../words";
import { useOperator, useOrgNames } from "./use-operator";

const STATES = [
  ["parked", "Waiting for a person"],
  ["exhausted", "Sent through twice, and failed again"],
  ["redriven", "Sent through again"],
  ["discarded", "Discarded"],
] as const;

/** What the applier gave up on: why, what to do, and doing it. */
export function LettersPage() {
  const calls = useOperator();
  const { nameOf } = useOrgNames();
  const [status, setStatus] = useState<string>("parked");
  const [decided, setDecided] = useState(0);
  const list = usePaged(`${status} ${decided}`, (after) =>
    calls.letters({ status, limit: 50, ...(after !== undefined && { after }) }),
  );
  return (
    <>
      <Heading title="Dead letters" />
      <p class="lead">
        Events that are in the journal and could not be applied. Nothing of them is lost: mend what the reason
        names and send them through again, or discard them with a reason.
      </p>
      <label class="field">
        Which
        <select value={status} onChange={(event) => setStatus(event.currentTarget.value)}>
          {STATES.map(([key, name]) => (
            <option key={key} value={key}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <NotRead
        problem={list.problem}
        what="the dead letters"
        old={list.items !== undefined}
        onRetry={list.again}
      />
      {list.items?.length === 0 && <p>There are none.</p>}
      <ul class="rows">
        {list.items?.map((letter) => (
          <Letter
            key={letter.id}
            letter={letter}
            org={nameOf(letter.orgId)}
            onDecided={() => setDecided((count) => count + 1)}
          />
        ))}
      </ul>
      {list.next !== null && (
        <button type="button" onClick={list.more} disabled={list.loading}>
          Show more
        </button>
      )}
    </>
  );
}

function Letter({ letter, org, onDecided }: { letter: DeadLetter; org: string; onDecided: () => void }) {
  const { clock } = usePortal();
  const now = clock.now();
  const open = letter.status === "parked" || letter.status === "exhausted";
  return (
    <li class="letter">
      <strong>{letter.reason}</strong>
      <p class="small">
        <code>{letter.kind}</code> of {letter.userId} in {org}, received {atTime(letter.receivedAt, now)}, set
        aside {atTime(letter.parkedAt, now)}
        {letter.redrives > 0 && `, sent through ${letter.redrives} times`}.
      </p>
      {letter.settledAt && (
        <p class="small">
          {letter.status === "discarded" ? "Discarded" : "Sent through"} {atTime(letter.settledAt, now)} by{" "}
          {letter.settledBy}
          {letter.settledWhy && `: ${letter.settledWhy}`}.
        </p>
      )}
      <p>{letter.hint}</p>
      <Record id={letter.id} />
      {open && <Decide letter={letter} onDecided={onDecided} />}
    </li>
  );
}

/** The record itself, fetched only when somebody wants to see it. */
function Record({ id }: { id: string }) {
  const calls = useOperator();
  const read = useChange<DeadLetter>();
  return (
    <details
      onToggle={(event) => {
        if (event.currentTarget.open && !read.done) void read.send(() => calls.letter(id));
      }}
    >
      <summary>The record, and the rule it breaks</summary>
      {read.busy && <p>Asking…</p>}
      <NotDone problem={read.problem} what="the record was read" />
      {read.done && (
        <>
          <p>{read.done.rule}</p>
          <pre>{JSON.stringify(read.done.record, null, 2)}</pre>
          {read.done.corrected != null && (
            <>
              <p>Sent through with this body in its place:</p>
              <pre>{JSON.stringify(read.done.corrected, null, 2)}</pre>
            </>
          )}
        </>
      )}
    </details>
  );
}

const SHORTEST_REASON = 3;

function Decide({ letter, onDecided }: { letter: DeadLetter; onDecided: () => void }) {
  const calls = useOperator();
  const change = useChange<DeadLetter>();
  const [reason, setReason] = useState("");
  const [body, setBody] = useState("");
  const [fault, setFault] = useState("");
  const said = reason.trim().length >= SHORTEST_REASON;

  async function redrive(): Promise<void> {
    setFault("");
    let mended: { body: unknown; reason: string } | undefined;
    if (body.trim() !== "") {
      try {
        mended = { body: JSON.parse(body), reason: reason.trim() };
      } catch (error) {
        setFault(`The corrected body is no JSON: ${error instanceof Error ? error.message : error}`);
        return;
      }
    }
    if (await change.send(() => calls.redrive(letter.id, mended))) onDecided();
  }

  async function discard(): Promise<void> {
    if (await change.send(() => calls.discard(letter.id, reason.trim()))) onDecided();
  }

  return (
    <details>
      <summary>Redrive or discard it</summary>
      <label class="field">
        Why (for discarding, and for a corrected body)
        <input
          type="text"
          value={reason}
          maxLength={1_000}
          onInput={(event) => setReason(event.currentTarget.value)}
        />
      </label>
      <label class="field">
        A corrected body, as JSON (may stay empty)
        <textarea rows={4} value={body} onInput={(event) => setBody(event.currentTarget.value)} />
      </label>
      <p class="form-problem" role="alert">
        {fault}
      </p>
      <NotDone problem={change.problem} what="this was done" />
      <div class="buttons">
        <button
          type="button"
          disabled={change.busy || (body.trim() !== "" && !said)}
          onClick={() => void redrive()}
        >
          Send it through again
        </button>
        <button type="button" class="quiet" disabled={change.busy || !said} onClick={() => void discard()}>
          Discard it
        </button>
      </div>
    </details>
  );
}
