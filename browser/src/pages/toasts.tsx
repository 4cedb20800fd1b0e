import type { Portal } from "../state/portal";
import { BacklogToast } from "./backlog-toast";

/** What is told without interrupting: too much waits here, or another build of the page is there. */
export function Toasts({ portal }: { portal: Portal }) {
  return (
    <div class="toast-place" role="status">
      <BacklogToast />
      <UpdateToast portal={portal} />
    </div>
  );
}

/** Another build of the page is there; the person says when. */
function UpdateToast({ portal }: { portal: Portal }) {
  const { update } = portal.installed;
  const state = update.state.value;
  return (
    <>
      {state.name === "ready" && (
        <div class="toast">
          <p>A new version is ready. You stay where you are, and nothing you did is lost.</p>
          <div class="buttons">
            <button type="button" onClick={() => void update.accept()}>
              Use it now
            </button>
            <button type="button" class="quiet" onClick={update.later}>
              Later
            </button>
          </div>
        </div>
      )}
      {state.name === "updating" && (
        <div class="toast">
          <p>
            {state.waits
              ? "The new version comes as soon as what you did is safe and what you typed is sent or cleared…"
              : "The new version is coming…"}
          </p>
        </div>
      )}
    </>
  );
}
