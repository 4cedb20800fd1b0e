import type { Devices } from "../../wire/operator";
import { Wide } from "../admin/parts";
import { Heading } from "../heading";
import { AsOf, NothingYet } from "../read-state";
import { usePortal, useRead } from "../use-portal";
import { atTime, counted } from "../words";
import { useOperator, useOrgNames } from "./use-operator";

/** The proof that nothing is missing, org by org, and what the devices say of themselves. */
export function LedgerPage() {
  return (
    <>
      <Heading title="Ledger and devices" />
      <Rows />
      <DeviceList />
      <Terminal />
    </>
  );
}

function Rows() {
  const { reads } = usePortal();
  const { nameOf } = useOrgNames();
  const read = reads.of("operator ledger", useOperator().ledger);
  const shown = useRead(read);
  const retry = () => void read.load();
  if (shown.value === undefined) return <NothingYet shown={shown} what="the ledger" onRetry={retry} />;
  return (
    <section>
      <h2>Ledger</h2>
      <p>
        {shown.value.balanced
          ? "It balances: every event that was accepted is applied, a duplicate, a dead letter or waiting."
          : "It does not balance: run holdfast verify, which says what is missing."}
      </p>
      <Wide label="Ledger by organisation">
        <table>
          <thead>
            <tr>
              <th scope="col">Organisation</th>
              {["Accepted", "Applied", "Duplicate", "Dead", "Waiting"].map((name) => (
                <th key={name} scope="col" class="number">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.value.items.map((row) => (
              <tr key={row.orgId}>
                <th scope="row">{nameOf(row.orgId)}</th>
                {[row.accepted, row.applied, row.duplicate, row.dead, row.pending].map((count, at) => (
                  <td key={at} class="number">
                    {count}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
      <AsOf shown={shown} onRetry={retry} />
    </section>
  );
}

const COMMANDS = [
  [
    "Is anything missing?",
    "holdfast verify --report report.json",
    "Proves the journal line by line, and every row of the tables against it. The report is for keeping.",
    "docs/runbooks/rows-missing.md",
  ],
  [
    "Rows are missing or wrong",
    "holdfast rebuild --org SLUG --dry-run",
    "Makes an organisation's tables from the journal once more and says what differs; without --dry-run it puts them in place.",
    "docs/runbooks/rows-missing.md",
  ],
  [
    "Somebody wants to be forgotten",
    "holdfast erase --org SLUG --user ID --reason WHY",
    "Takes one person out of tables, journal and dead letters, and gives a signed receipt.",
    "docs/reference/commands.md",
  ],
  [
    "A token leaked",
    "holdfast token list",
    "Shows who made each and when it was last used; holdfast token revoke ends one at once.",
    "docs/runbooks/leaked-token.md",
  ],
  [
    "Before anything happens",
    "holdfast doctor",
    "Looks at disk, keys, clock and versions, and says in plain words what will hurt.",
    "docs/runbooks/go-live.md",
  ],
] as const;

/** What takes longer than a page should wait, and asks for the machine itself. */
function Terminal() {
  return (
    <section class="terminal">
      <h2>From the terminal</h2>
      <p>On the portal's machine, each with --data and the data directory; beside the running portal.</p>
      <ul class="rows">
        {COMMANDS.map(([when, command, does, page]) => (
          <li key={command}>
            <strong>{when}</strong>
            <pre>
              <code>{command}</code>
            </pre>
            {does}{" "}
            <span class="small">
              See <code>{page}</code>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

const inSeconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;

const spans = (missing: readonly (readonly number[])[]): string =>
  missing.map(([from, to]) => (from === to ? `${from}` : `${from} to ${to}`)).join(", ");

/** As the device itself says; its word of more than ten minutes ago is no word about now. */
function heldInWords({ reportedBacklog, reportedLagMs }: Devices["items"][number]): string {
  if (typeof reportedBacklog !== "number") return "not said lately";
  if (reportedBacklog === 0) return "nothing";
  return `${counted(reportedBacklog, "event", "events")}, the oldest for ${inSeconds(reportedLagMs ?? 0)}`;
}

function DeviceList() {
  const { reads, clock } = usePortal();
  const { nameOf } = useOrgNames();
  const read = reads.of("operator devices", useOperator().devices);
  const shown = useRead(read);
  const retry = () => void read.load();
  const found = shown.value;
  if (found === undefined) return <NothingYet shown={shown} what="the devices" onRetry={retry} />;
  return (
    <section>
      <h2>Devices</h2>
      <p>
        {counted(found.reporting, "device reports", "devices report")} a backlog,{" "}
        {counted(found.reportedBacklog, "event", "events")} in all
        {found.reporting > 0 && `, the oldest waiting for ${inSeconds(found.reportedLagMs)}`}.
      </p>
      <h3>Losses that devices told</h3>
      {found.losses.length === 0 && <p>None.</p>}
      <ul class="rows">
        {found.losses.map((loss) => (
          <li key={`${loss.deviceId} ${loss.receivedAt}`}>
            <strong>Numbers {spans(loss.missing)}</strong>: {loss.cause}
            <p class="small">
              {loss.userId} in {nameOf(loss.orgId)}, told {atTime(loss.receivedAt, clock.now())}, device{" "}
              <code>{loss.deviceId}</code>, generation {loss.generation}
            </p>
          </li>
        ))}
      </ul>
      <h3>Heard from last</h3>
      <Wide label="Devices heard from last">
        <table>
          <thead>
            <tr>
              <th scope="col">Person</th>
              <th scope="col">Organisation</th>
              <th scope="col">Heard from</th>
              <th scope="col">Arrived up to</th>
              <th scope="col">Not arrived</th>
              <th scope="col">Still on the device</th>
            </tr>
          </thead>
          <tbody>
            {found.items.map((device) => (
              <tr key={`${device.deviceId} ${device.userId} ${device.generation}`}>
                <th scope="row">{device.userId}</th>
                <td>{nameOf(device.orgId)}</td>
                <td>{atTime(device.seenAt, clock.now())}</td>
                <td class="number">{device.state.acceptedThrough}</td>
                <td>{spans(device.state.missing) || "nothing"}</td>
                <td>{heldInWords(device)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
    </section>
  );
}
