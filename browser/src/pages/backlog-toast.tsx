import { useState } from "preact/hooks";
import { largestBacklog } from "../state/backlog";
import { usePortal } from "./use-portal";
import { counted } from "./words";

/** Said once when too much waits on this device, and again only after it had drained. */
export function BacklogToast() {
  const { outbox, health, session } = usePortal();
  const [seen, setSeen] = useState(false);
  const largest = largestBacklog(health.service.value.health);
  const waiting = outbox.offlineQueueBacklog.value;
  const over = waiting > largest;
  if (!over && seen) setSeen(false);
  if (!over || seen) return null;
  const runs = session.session.value?.principal.roles.includes("admin");
  return (
    <div class="toast">
      <p>
        {counted(waiting, "thing waits", "things wait")} on this device to be sent. Nothing is lost: they go
        by themselves as soon as they can.
        {runs && ` Assigning to many at once goes on when ${largest} or fewer are left.`}
      </p>
      <div class="buttons">
        <a href="/waiting">See what waits</a>
        <button type="button" class="quiet" onClick={() => setSeen(true)}>
          I have seen this
        </button>
      </div>
    </div>
  );
}
