import type { Reach, Service } from "../state/health";
import type { Degradation, Status } from "../wire/shapes";
import { useNow, usePortal } from "./use-portal";
import { agoShort, atTime } from "./words";

/** Heard of so long ago, a state is no longer known: a stream says something every 15 s. */
const STALE_MS = 45_000;

/** "Last confirmed 12 s ago" is looked at again this often. */
const TICK_MS = 1_000;

export type Colour = "green" | "orange" | "red" | "grey";

const STATUS_SAYS: Record<Status, { colour: Colour; words: string }> = {
  ok: { colour: "green", words: "Service: all works" },
  degraded: { colour: "orange", words: "Service: some things do not work now" },
  down: { colour: "red", words: "Service: down" },
  unknown: { colour: "grey", words: "Service: state unknown" },
};

const REACH_SAYS: Record<Exclude<Reach, "reached">, { colour: Colour; words: string }> = {
  asking: { colour: "grey", words: "Service: asking…" },
  silent: { colour: "grey", words: "The service has gone silent; we are asking again." },
  yourNetwork: { colour: "grey", words: "This device is offline, so we cannot reach the service." },
  ourService: {
    colour: "red",
    words: "We cannot reach the service. Your network seems to be on, so it may be our fault.",
  },
  inBetween: {
    colour: "red",
    words:
      "Something between this device and the service answers in its place. Does this network ask you to log in first?",
  },
};

const isStale = ({ confirmedAtMs = 0 }: Service, nowMs: number): boolean => nowMs - confirmedAtMs > STALE_MS;

/** Whether what the service said last is still what is known of it. */
export const isKnown = (service: Service, nowMs: number): boolean =>
  service.reach === "reached" && !isStale(service, nowMs);

/** What the banner says of the service at a moment, and in which colour. */
export function bannerOf(service: Service, nowMs: number): { colour: Colour; words: string } {
  if (service.reach !== "reached") return REACH_SAYS[service.reach];
  if (isStale(service, nowMs)) return REACH_SAYS.silent;
  return STATUS_SAYS[service.health?.status ?? "unknown"];
}

/** How the service is, on every page of every tab: what is lost, what still works, and since when we know. */
export function Banner({ spoken = false }: { spoken?: boolean }) {
  const { health } = usePortal();
  const now = useNow(TICK_MS);
  const service = health.service.value;
  const { colour, words } = bannerOf(service, now);
  const losses = service.health?.degradations ?? [];
  const { confirmedAtMs } = service;
  return (
    <div class={`banner banner-${colour}`} data-via={service.via}>
      <span class="banner-dot" aria-hidden="true" />
      <div>
        <span {...(spoken && { role: "status" })}>{words}</span>
        {confirmedAtMs !== undefined && (
          <span class="banner-age"> Last confirmed {agoShort(now - confirmedAtMs)}.</span>
        )}
        {losses.length > 0 && colour !== "green" && (
          <details>
            <summary>What is lost, and what still works</summary>
            <dl>
              {losses.map((loss) => (
                <Loss key={loss.name} loss={loss} now={now} />
              ))}
            </dl>
          </details>
        )}
      </div>
    </div>
  );
}

function Loss({ loss, now }: { loss: Degradation; now: number }) {
  return (
    <div>
      <dt>
        {loss.lost}
        <span class="small">
          {" "}
          Since {atTime(loss.since, now)}; likely to last until about {atTime(loss.expectedEndAt, now)}.
        </span>
      </dt>
      <dd>{loss.works}</dd>
    </div>
  );
}
