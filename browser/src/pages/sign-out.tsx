import { useEffect, useState } from "preact/hooks";
import type { Entry } from "../state/entries";
import { Mark } from "./marks";
import { Modal } from "./modal";
import { NextTry, SIGNS, stateInWords } from "./ticks";
import { usePortal } from "./use-portal";
import { counted } from "./words";

/** What is on its way gets a moment to arrive before anybody is asked about it. */
const LAST_SEND_MS = 3_000;
/** A list in a dialog is for recognising, not for reading all of it. */
const LISTED = 8;

type Stage = "no" | "saving" | "asking" | "sure" | "sending" | "refused";

/** The header's button, and what it asks while something has not reached the server. */
export function SignOut() {
  const { session, outbox, clock, beforeSignOut } = usePortal();
  const [stage, setStage] = useState<Stage>("no");
  const [refusedBefore, setRefusedBefore] = useState(0);
  const open = outbox.openWork.value;
  const refused = outbox.refusedWork.value.length - refusedBefore;
  const leave = () => void session.signOut();

  // They asked to leave: once everything has arrived, nothing is left to ask. But what waits must be
  // known before it can be called nothing, and what was refused meanwhile has not arrived.
  const settled = stage !== "no" && outbox.isAllKnown.value && open.length === 0;
  useEffect(() => {
    if (!settled) return;
    if (refused > 0) setStage("refused");
    else leave();
  }, [settled]);

  function begin() {
    if (stage !== "no") return;
    setStage("saving");
    setRefusedBefore(outbox.refusedWork.value.length);
    for (const say of beforeSignOut) say();
    // Storage that does not answer must not keep anybody signed in.
    void outbox.added().then(outbox.sendNow);
    clock.after(LAST_SEND_MS, () => setStage((now) => (now === "saving" ? "asking" : now)));
  }

  return (
    <>
      {/* Never disabled: it would lose the focus, and who then stays signed in would be nowhere on the page. */}
      <button type="button" class="quiet" onClick={begin} aria-disabled={stage === "saving"}>
        {stage === "saving" ? "Sending…" : "Sign out"}
      </button>
      {(stage === "asking" || stage === "sending") && (
        <Modal title={titleOf(open.length)} onClose={() => setStage("no")}>
          <Choices
            open={open}
            sending={stage === "sending"}
            onSend={() => {
              setStage("sending");
              outbox.sendNow();
            }}
            onKeep={leave}
            onDiscard={() => setStage("sure")}
            onStay={() => setStage("no")}
          />
        </Modal>
      )}
      {stage === "sure" && (
        <Modal
          title={`Throw away ${counted(open.length, "thing", "things")} you did?`}
          onClose={() => setStage("no")}
        >
          <Sure
            open={open}
            onBack={() => setStage("asking")}
            onDiscard={() => outbox.discardAll().then(leave)}
          />
        </Modal>
      )}
      {stage === "refused" && (
        <Modal
          title={`The server will not have ${counted(refused, "thing", "things")} you did`}
          onClose={() => setStage("no")}
        >
          <Refused onLeave={leave} onStay={() => setStage("no")} />
        </Modal>
      )}
    </>
  );
}

const titleOf = (count: number): string =>
  count === 0
    ? "What waits on this device can’t be read now"
    : `${counted(count, "thing is", "things are")} not on the server yet`;

interface ChoicesProps {
  open: readonly Entry[];
  sending: boolean;
  onSend: () => void;
  onKeep: () => void;
  onDiscard: () => void;
  onStay: () => void;
}

function Choices({ open, sending, onSend, onKeep, onDiscard, onStay }: ChoicesProps) {
  const { outbox } = usePortal();
  const { lanes } = outbox.status.value;
  const risky = outbox.atRisk.value - outbox.atRiskOfOthers.value;
  const waits = [lanes.progressQueue.state, lanes.adminQueue.state].find(({ name }) => name === "waiting");
  // Without a count, it is whatever lies there.
  const single = open.length < 2;
  const it = single ? "it" : "them";
  return (
    <>
      <List entries={open} />
      {risky > 0 && (
        <p role="alert">
          <Mark sign="warn" /> {counted(risky, "of these is", "of these are")} not safe yet: this device can’t
          keep {risky === 1 ? "it" : "them"}. Signed out, {risky === 1 ? "it lives" : "they live"} in this
          page only, and closing the page loses {risky === 1 ? "it" : "them"}.
        </p>
      )}
      <ul class="ways">
        <li>
          <button type="button" onClick={onSend}>
            Send now
          </button>
          <span class="small" role="status">
            {sending
              ? `Sending, ${open.length} to go. You are signed out as soon as everything has arrived.`
              : "You are signed out once everything has arrived."}
          </span>
          {waits && <NextTry now={waits} />}
        </li>
        <li>
          <button type="button" class="second" onClick={onKeep}>
            Sign out and keep {it} sealed here
          </button>
          <span class="small">
            Nobody else sees or sends {it}. {single ? "It is" : "They are"} sent when you next sign in on this
            device.
          </span>
        </li>
        <li>
          <button type="button" class="danger" onClick={onDiscard}>
            Throw {it} away and sign out
          </button>
          <span class="small">You are asked once more.</span>
        </li>
      </ul>
      <button type="button" class="quiet" onClick={onStay}>
        Stay signed in
      </button>
    </>
  );
}

function Sure({
  open,
  onBack,
  onDiscard,
}: {
  open: readonly Entry[];
  onBack: () => void;
  onDiscard: () => Promise<void>;
}) {
  const [pressed, setPressed] = useState(false);
  const [failed, setFailed] = useState(false);

  function discard() {
    setPressed(true);
    onDiscard().catch(() => {
      setPressed(false);
      setFailed(true);
    });
  }

  return (
    <>
      <p>They never reached the server, and nobody can bring them back:</p>
      <List entries={open} />
      {failed && <p role="alert">This device’s storage did not answer. Nothing was thrown away.</p>}
      <div class="buttons">
        <button type="button" onClick={onBack}>
          Back
        </button>
        <button type="button" class="danger" disabled={pressed} onClick={discard}>
          Yes, throw {open.length === 1 ? "it" : `all ${open.length}`} away
        </button>
      </div>
    </>
  );
}

/** Who leaves now finds it here when they are back; nobody should go without having been told. */
function Refused({ onLeave, onStay }: { onLeave: () => void; onStay: () => void }) {
  return (
    <>
      <p>
        You are still signed in. What was refused stays on this device until you put it away, and nobody else
        sees it.{" "}
        <a href="/waiting" onClick={onStay}>
          See why, and what you can do
        </a>
      </p>
      <div class="buttons">
        <button type="button" class="second" onClick={onLeave}>
          Sign out all the same
        </button>
        <button type="button" class="quiet" onClick={onStay}>
          Stay signed in
        </button>
      </div>
    </>
  );
}

function List({ entries }: { entries: readonly Entry[] }) {
  const more = entries.length - LISTED;
  return (
    <ul class="plain">
      {entries.slice(0, LISTED).map(({ id, says, state }) => (
        <li key={id}>
          <Mark sign={SIGNS[state.name]} /> {says}
          <span class="unseen"> ({stateInWords(state)})</span>
        </li>
      ))}
      {more > 0 && <li>and {more} more</li>}
    </ul>
  );
}
