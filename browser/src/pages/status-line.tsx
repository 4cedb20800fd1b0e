import type { Reach, Service } from "../state/health";
import type { Status } from "../wire/shapes";
import { usePortal } from "./use-portal";
import { atTime } from "./words";

const STATUS_WORDS: Record<Status, string> = {
  ok: "Service: ok",
  degraded: "Service: some things do not work now",
  down: "Service: down",
  unknown: "Service: state unknown",
};

const REACH_WORDS: Record<Exclude<Reach, "reached">, string> = {
  asking: "Service: asking…",
  yourNetwork: "We cannot reach the server: this device is offline.",
  ourService: "We cannot reach the server. Your network seems to be on, so it may be our service.",
  inBetween:
    "Something between this device and the server answers in its place. Does this network ask you to log in first?",
};

/** How the service is, in one small line; what is lost and what still works behind it. */
export function StatusLine({ spoken = false }: { spoken?: boolean }) {
  const { health, clock } = usePortal();
  const service = health.service.value;
  const losses = service.reach === "reached" ? (service.health?.degradations ?? []) : [];
  return (
    <div class={`status-line status-${colourOf(service)}`}>
      <span class="status-dot" aria-hidden="true" />
      <div>
        <span {...(spoken && { role: "status" })}>{wordsOf(service)}</span>
        {service.reach !== "reached" && service.confirmedAtMs !== undefined && (
          <span> Last answer at {atTime(new Date(service.confirmedAtMs).toISOString(), clock.now())}.</span>
        )}
        {losses.length > 0 && (
          <details>
            <summary>What is lost, and what still works</summary>
            <dl>
              {losses.map(({ name, lost, works }) => (
                <div key={name}>
                  <dt>{lost}</dt>
                  <dd>{works}</dd>
                </div>
              ))}
            </dl>
          </details>
        )}
      </div>
    </div>
  );
}

function wordsOf({ reach, health }: Service): string {
  return reach === "reached" ? STATUS_WORDS[health?.status ?? "unknown"] : REACH_WORDS[reach];
}

function colourOf({ reach, health }: Service): Status {
  if (reach === "asking") return "unknown";
  return reach === "reached" ? (health?.status ?? "unknown") : "down";
}
