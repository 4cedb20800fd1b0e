import { useEffect, useState } from "preact/hooks";
import { mintId } from "../../core/ids";
import type { Replay, ReplayAsk } from "../../wire/operator";
import { NotDone, NotRead, Wide } from "../admin/parts";
import { useChange } from "../admin/use-admin";
import { Heading } from "../heading";
import { usePortal, useRead } from "../use-portal";
import { atTime } from "../words";
import { useOperator, useOrgNames } from "./use-operator";

const LOOK_EVERY_MS = 1_000;
const isOver = ({ status }: Replay): boolean => status !== "queued" && status !== "running";

/** A window of time applied again: first to see what would change, then in earnest. */
export function ReplayPage() {
  const { reads, clock } = usePortal();
  const calls = useOperator();
  const list = reads.of("operator replays", calls.replays);
  const shown = useRead(list);
  const replays = shown.value?.items ?? [];
  // A look begun while one is on its way would take its answer's place: a slow portal would never be heard.
  const waits = !shown.loading && replays.some((replay) => !isOver(replay));
  useEffect(
    () => (waits ? clock.after(LOOK_EVERY_MS, () => void list.load()) : undefined),
    [waits, list, clock],
  );
  return (
    <>
      <Heading title="Replay" />
      <p class="lead">
        Applies the events of a window of time again, for one organisation. What was applied stays as it is;
        what is missing is put in. Look at what would change first: that run does everything and takes it
        back.
      </p>
      <AskForm onAsked={() => void list.load()} />
      <h2>Replays</h2>
      <NotRead
        problem={shown.problem}
        what="the replays"
        old={shown.value !== undefined}
        onRetry={() => void list.load()}
      />
      {shown.value?.items.length === 0 && <p>There were none.</p>}
      <ul class="rows">
        {replays.map((replay) => (
          <Job key={replay.id} replay={replay} onChange={() => void list.load()} />
        ))}
      </ul>
    </>
  );
}

function AskForm({ onAsked }: { onAsked: () => void }) {
  const calls = useOperator();
  const { orgs } = useOrgNames();
  const change = useChange<Replay>();
  const [fields, setFields] = useState({
    orgId: "",
    userId: "",
    from: "",
    to: "",
    reason: "",
    source: "journal",
  });
  // Minted once for what is asked: sent twice after a lost answer, it is one replay.
  const [id, setId] = useState(mintId);
  const set = (name: keyof typeof fields) => (event: { currentTarget: { value: string } }) => {
    const { value } = event.currentTarget;
    setFields((before) => ({ ...before, [name]: value }));
    setId(mintId());
  };
  const whole = fields.orgId && fields.from && fields.to && fields.reason.trim().length >= 3;

  async function ask(dryRun: boolean): Promise<void> {
    const asked: ReplayAsk = {
      id: dryRun ? `${id}-dry` : id,
      orgId: fields.orgId,
      from: new Date(fields.from).toISOString(),
      to: new Date(fields.to).toISOString(),
      source: fields.source === "deadLetters" ? "deadLetters" : "journal",
      dryRun,
      reason: fields.reason.trim(),
      ...(fields.userId.trim() && { userId: fields.userId.trim() }),
    };
    if (await change.send(() => calls.replay(asked))) onAsked();
  }

  return (
    <form class="replay" onSubmit={(event) => event.preventDefault()}>
      <label class="field">
        Organisation
        <select value={fields.orgId} onChange={set("orgId")}>
          <option value="">Choose one</option>
          {orgs.map((org) => (
            <option key={org.id} value={org.id}>
              {org.name}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        Person, by id (may stay empty)
        <input type="text" value={fields.userId} onInput={set("userId")} />
      </label>
      <label class="field">
        From, by this device's time zone
        <input type="datetime-local" step={1} value={fields.from} onInput={set("from")} />
      </label>
      <label class="field">
        Up to, that moment not included
        <input type="datetime-local" step={1} value={fields.to} onInput={set("to")} />
      </label>
      <label class="field">
        Out of
        <select value={fields.source} onChange={set("source")}>
          <option value="journal">the journal</option>
          <option value="deadLetters">the dead letters</option>
        </select>
      </label>
      <label class="field">
        Why
        <input type="text" value={fields.reason} maxLength={1_000} onInput={set("reason")} />
      </label>
      <NotDone problem={change.problem} what="the replay was asked for" />
      <div class="buttons">
        <button type="button" disabled={!whole || change.busy} onClick={() => void ask(true)}>
          See what would change
        </button>
        <button type="button" class="quiet" disabled={!whole || change.busy} onClick={() => void ask(false)}>
          Replay in earnest
        </button>
      </div>
    </form>
  );
}

const STATUS_SAYS: Record<Replay["status"], string> = {
  queued: "waits for its turn",
  running: "runs",
  done: "is done",
  failed: "failed",
  cancelled: "was cancelled",
};

const COUNTS = [
  ["matched", "in the window"],
  ["applied", "had no effect before, and have it now"],
  ["repeated", "applied again"],
  ["already", "had their effect and were left alone"],
  ["refused", "can’t be applied as things are"],
  ["pending", "not yet applied by the portal itself"],
  ["parked", "set aside as dead letters"],
  ["conflicts", "of an id whose other body was applied"],
  ["rowsAdded", "rows added"],
  ["rowsChanged", "rows changed"],
  ["rowsRemoved", "rows removed"],
] as const satisfies readonly (readonly [keyof Replay["counts"], string])[];

function Job({ replay, onChange }: { replay: Replay; onChange: () => void }) {
  const { clock } = usePortal();
  const calls = useOperator();
  const { nameOf } = useOrgNames();
  const change = useChange<Replay>();
  const { request } = replay;
  const counts = COUNTS.filter(([name]) => (replay.counts[name] ?? 0) > 0);
  return (
    <li>
      <strong>
        {replay.dryRun ? "A look at what would change" : "A replay"} {STATUS_SAYS[replay.status]}
      </strong>
      <p class="small">
        {nameOf(replay.orgId)}, {atTime(request.from, clock.now())} to {atTime(request.to, clock.now())},
        asked by {replay.askedBy} {atTime(replay.createdAt, clock.now())}: {request.reason}
      </p>
      {!isOver(replay) && (
        <progress max={1} value={replay.progress} aria-label="How far the replay is">
          {Math.round(replay.progress * 100)} %
        </progress>
      )}
      {replay.why && <p role="alert">{replay.why}</p>}
      <p>
        {counts.map(([name, says]) => `${replay.counts[name]} ${says}`).join(", ") || "Nothing found so far."}
      </p>
      {replay.sample.length > 0 && <Sample replay={replay} />}
      <NotDone problem={change.problem} what="the replay was cancelled" />
      {!isOver(replay) && (
        <button
          type="button"
          class="quiet"
          disabled={change.busy}
          onClick={() => void change.send(() => calls.cancelReplay(replay.id)).then(onChange)}
        >
          Cancel it
        </button>
      )}
    </li>
  );
}

function Sample({ replay }: { replay: Replay }) {
  return (
    <details>
      <summary>{replay.dryRun ? "Some rows that would change" : "Some rows that changed"}</summary>
      <Wide label="A sample of rows">
        <table>
          <thead>
            <tr>
              <th scope="col">Table</th>
              <th scope="col">What</th>
              <th scope="col">Before</th>
              <th scope="col">After</th>
            </tr>
          </thead>
          <tbody>
            {replay.sample.map((row) => (
              <tr key={JSON.stringify(row)}>
                <td>{row.table}</td>
                <td>{row.act}</td>
                <td>
                  <code>{row.before ? JSON.stringify(row.before) : ""}</code>
                </td>
                <td>
                  <code>{row.after ? JSON.stringify(row.after) : ""}</code>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
    </details>
  );
}
