import { largestBacklog } from "../../state/backlog";
import type { Degradation, Health, Status } from "../../wire/shapes";
import { Wide } from "../admin/parts";
import { bannerOf, isKnown } from "../banner";
import { Heading } from "../heading";
import { useNow, usePortal } from "../use-portal";
import { agoShort, atTime, counted } from "../words";
import { LastHour } from "./last-hour";

const TICK_MS = 1_000;

/** The parts as the stream tells them, in the moment it does. */
export function NowPage() {
  const { health } = usePortal();
  const now = useNow(TICK_MS);
  const service = health.service.value;
  const said = service.health;
  const known = isKnown(service, now);
  return (
    <>
      <Heading title="How it is now" />
      <p class="lead">{bannerOf(service, now).words}</p>
      <p class="small">
        {service.via === "stream" && "Heard in the moment it changes."}
        {service.via === "poll" &&
          "Asked every 15 seconds: the stream does not come through to this browser."}
        {service.confirmedAtMs !== undefined && ` Last confirmed ${agoShort(now - service.confirmedAtMs)}.`}
      </p>
      <Losses losses={said?.degradations ?? []} known={known} works={said?.status === "ok"} now={now} />
      {said && <Parts health={said} known={known} now={now} />}
      {said && <Queues health={said} />}
      <LastHour />
      {said && <Flags mine={said.featureFlags ?? {}} rollout={said.flagRollout ?? {}} />}
    </>
  );
}

interface LossesProps {
  readonly losses: readonly Degradation[];
  readonly known: boolean;
  readonly works: boolean;
  readonly now: number;
}

/** That nothing is named lost says little while a part, or all of the portal, is not known. */
function Losses({ losses, known, works, now }: LossesProps) {
  const none = losses.length === 0;
  return (
    <section>
      <h2>What is lost</h2>
      {known && works && none && <p>Nothing: every part does its work.</p>}
      {!known && <p>Not known now.{!none && " When the portal was last heard:"}</p>}
      {known && !works && none && <p>Not known now: look at the parts below.</p>}
      {!none && (
        <ul class="rows">
          {losses.map((loss) => (
            <li key={loss.name}>
              <strong>{loss.lost}</strong>
              <span class="small"> Since {atTime(loss.since, now)}.</span>
              <p>Still works: {loss.works}</p>
              <p class="small">
                <code>{loss.name}</code>, runbook:{" "}
                <code>docs/{loss.runbook.replace(/^(\.\.\/|docs\/)/, "")}</code>
              </p>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const SAYS: Record<Status, string> = { ok: "ok", degraded: "degraded", down: "down", unknown: "not known" };

interface PartsProps {
  readonly health: Health;
  readonly known: boolean;
  readonly now: number;
}

/** What was said of a part is not how it is, once nobody says it any more. */
function Parts({ health, known, now }: PartsProps) {
  const parts = Object.entries(health.components ?? {});
  if (parts.length === 0) return null;
  return (
    <section>
      <h2>Parts</h2>
      <Wide label="Parts of the portal">
        <table>
          <thead>
            <tr>
              <th scope="col">Part</th>
              <th scope="col">Status</th>
              <th scope="col">Half within</th>
              <th scope="col">95 % within</th>
              <th scope="col">Looked at</th>
              <th scope="col">Why</th>
            </tr>
          </thead>
          <tbody>
            {parts.map(([name, part]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>
                  <State status={known ? part.status : "unknown"} />
                </td>
                <td>{inMs(part.latencyMs?.p50)}</td>
                <td>{inMs(part.latencyMs?.p95)}</td>
                <td>{part.observedAt ? agoShort(now - Date.parse(part.observedAt)) : "never"}</td>
                <td class="why">{part.reason ?? ""}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
    </section>
  );
}

const State = ({ status }: { status: Status }) => <span class={`state state-${status}`}>{SAYS[status]}</span>;

/** A duration as long as it takes to be read; nothing where nothing was measured. */
function inMs(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "";
  if (ms >= 10_000) return `${Math.round(ms / 1_000)} s`;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

function Queues({ health }: { health: Health }) {
  const { offlineQueue, analyticsIngestLagMs, orgEnforcement } = health;
  return (
    <section>
      <h2>Queues</h2>
      <dl class="facts">
        <div>
          <dt>Saved, not yet applied</dt>
          <dd>
            {counted(offlineQueue?.backlog ?? 0, "event", "events")}; bulk work stops over{" "}
            {largestBacklog(health)}
          </dd>
        </div>
        <div>
          <dt>Assignments among them</dt>
          <dd>{offlineQueue?.pendingAssignments ?? 0}</dd>
        </div>
        <div>
          <dt>Analytics behind by</dt>
          <dd>{analyticsIngestLagMs ? inMs(analyticsIngestLagMs) : "nothing"}</dd>
        </div>
        <div>
          <dt>Org enforcement</dt>
          <dd>
            {orgEnforcement?.force ? "on" : "off"};{" "}
            {counted(orgEnforcement?.stampedWithoutOrg ?? 0, "event", "events")} came without an org and were
            given their sender's only one
          </dd>
        </div>
      </dl>
    </section>
  );
}

interface FlagsProps {
  readonly mine: Readonly<Record<string, boolean>>;
  readonly rollout: Readonly<Record<string, number>>;
}

function Flags({ mine, rollout }: FlagsProps) {
  const named = Object.entries(mine);
  return (
    <section>
      <h2>Feature flags</h2>
      {named.length === 0 ? (
        <p>There are none.</p>
      ) : (
        <Wide label="Feature flags and their rollout">
          <table>
            <thead>
              <tr>
                <th scope="col">Flag</th>
                <th scope="col">On for</th>
                <th scope="col">For you</th>
              </tr>
            </thead>
            <tbody>
              {named.map(([name, on]) => (
                <tr key={name}>
                  <th scope="row">
                    <code>{name}</code>
                  </th>
                  <td>
                    <Share percent={rollout[name]} />
                  </td>
                  <td>{on ? "on" : "off"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Wide>
      )}
    </section>
  );
}

/** How far a flag is rolled out. Another provider than the settings does not say. */
function Share({ percent }: { percent: number | undefined }) {
  if (percent === undefined) return <>as its provider decides</>;
  const words = percent === 0 ? "nobody" : percent === 100 ? "everybody" : `${percent} % of people`;
  return (
    <>
      <meter min={0} max={100} value={percent} aria-hidden="true" /> {words}
    </>
  );
}
