import { standingOf } from "../state/standing";
import { Modal } from "./modal";
import { SignInForm } from "./sign-in";
import { usePortal } from "./use-portal";
import { counted } from "./words";

/** Over the page, when the server no longer knows the session: the page and its events stay as they are. */
export function SignInAgain({ onLater }: { onLater: () => void }) {
  const { session, outbox } = usePortal();
  const open = outbox.openWork.value.length;
  const all = standingOf(outbox).name === "onServer";
  const email = session.session.value?.principal.email ?? "";
  return (
    <Modal title="Please sign in again" onClose={onLater}>
      <p>
        Your session has ended.{" "}
        {open > 0
          ? `${counted(open, "thing", "things")} you did ${open === 1 ? "waits" : "wait"} on this device and will be sent once you are signed in again as ${email}.`
          : all && "Everything you did here is on the server."}
      </p>
      <SignInForm email={email} />
      <button type="button" class="quiet" onClick={onLater}>
        Not now, keep reading
      </button>
    </Modal>
  );
}
