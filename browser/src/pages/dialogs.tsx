import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { inWords, type Problem } from "../core/problem";
import { unsavedOf } from "../state/entries";
import { SignInForm } from "./sign-in";
import { usePortal } from "./use-portal";
import { counted } from "./words";

/** A native modal dialog: the browser keeps the focus inside and gives it back afterwards. */
function Modal({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={onClose}>
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  );
}

/** Over the page, when the server no longer knows the session: the page and its events stay as they are. */
export function SignInAgain({ onLater }: { onLater: () => void }) {
  const { session, sending } = usePortal();
  const unsaved = unsavedOf(sending.entries.value, session.owner.value).length;
  const email = session.session.value?.principal.email ?? "";
  return (
    <Modal title="Please sign in again" onClose={onLater}>
      <p>
        Your session has ended.{" "}
        {unsaved > 0
          ? `${counted(unsaved, "thing", "things")} you did ${unsaved === 1 ? "is" : "are"} held in this page and will be sent once you are signed in again as ${email}.`
          : "Nothing you did here is lost."}
      </p>
      <SignInForm email={email} />
      <button type="button" class="quiet" onClick={onLater}>
        Not now, keep reading
      </button>
    </Modal>
  );
}

/** Asked only while something has no receipt. */
export function SignOutAnyway({ onStay, onLeave }: { onStay: () => void; onLeave: () => void }) {
  const { sending, session } = usePortal();
  const unsaved = unsavedOf(sending.entries.value, session.owner.value).length;
  return (
    <Modal title="Not everything is saved yet" onClose={onStay}>
      {unsaved > 0 ? (
        <p>
          {counted(unsaved, "thing", "things")} you did here {unsaved === 1 ? "has" : "have"} not reached the
          server. After signing out it stays in this page only: it is sent if you sign in here again, and lost
          when the page is closed.
        </p>
      ) : (
        <p>By now everything is saved on the server. You can sign out.</p>
      )}
      <div class="buttons">
        <button type="button" onClick={onStay}>
          Stay and let it be saved
        </button>
        <button type="button" class="quiet" onClick={onLeave}>
          Sign out
        </button>
      </div>
    </Modal>
  );
}

const LAST_SEND_MS = 3_000;
const LOOK_EVERY_MS = 50;

/** What came of signing out, for the header's button. */
export function useSignOut() {
  const { session, sending, clock, beforeSignOut } = usePortal();
  const [asking, setAsking] = useState(false);
  const [waiting, setWaiting] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const mayLose = () => unsavedOf(sending.entries.peek(), session.owner.peek()).length > 0;

  /** What is on its way gets a moment to arrive before anybody is asked about it. */
  async function arrived() {
    for (let waitedMs = 0; waitedMs < LAST_SEND_MS && mayLose(); waitedMs += LOOK_EVERY_MS) {
      await new Promise<void>((resolve) => void clock.after(LOOK_EVERY_MS, resolve));
    }
  }

  async function leave() {
    setAsking(false);
    setProblem(await session.signOut());
  }
  return {
    asking,
    waiting,
    problem: problem && `You are still signed in. ${inWords(problem)}`,
    async begin() {
      for (const say of beforeSignOut) say();
      setWaiting(true);
      await arrived();
      setWaiting(false);
      if (mayLose()) setAsking(true);
      else await leave();
    },
    stay: () => setAsking(false),
    leave: () => void leave(),
  };
}
