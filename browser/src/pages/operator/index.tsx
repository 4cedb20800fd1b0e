import { useMemo } from "preact/hooks";
import { useLocation } from "preact-iso";
import "../../looks/admin.css";
import "../../looks/operator.css";
import type { Portal } from "../../state/portal";
import { createOperatorCalls } from "../../wire/operator";
import { Heading } from "../heading";
import { LedgerPage } from "./ledger";
import { LettersPage } from "./letters";
import { NowPage } from "./now";
import { ReplayPage } from "./replay";
import { OperatorContext } from "./use-operator";

const PLACES = [
  ["now", "How it is now"],
  ["letters", "Dead letters"],
  ["replay", "Replay"],
  ["ledger", "Ledger and devices"],
] as const;

/** Everything under /operator, for those who watch and repair the platform. */
// biome-ignore lint/style/noDefaultExport: a page that is loaded when opened is its module's one thing
export default function OperatorPages({ portal }: { portal: Portal }) {
  const { path } = useLocation();
  const calls = useMemo(() => createOperatorCalls(portal.wire), [portal]);
  const isOperator = portal.session.session.value?.principal.roles.includes("operator") === true;
  if (!isOperator) return <Heading title="These pages are for operators" />;
  const [place = "now"] = path.split("/").slice(2).filter(Boolean);
  return (
    <OperatorContext.Provider value={calls}>
      <div class="admin operator">
        <nav class="places" aria-label="Operation">
          {PLACES.map(([key, name]) => (
            <a
              key={key}
              href={`/operator/${key}`}
              {...(key === place && { "aria-current": "page" as const })}
            >
              {name}
            </a>
          ))}
        </nav>
        <Place place={place} />
      </div>
    </OperatorContext.Provider>
  );
}

function Place({ place }: { place: string }) {
  switch (place) {
    case "now":
      return <NowPage />;
    case "letters":
      return <LettersPage />;
    case "replay":
      return <ReplayPage />;
    case "ledger":
      return <LedgerPage />;
    default:
      return (
        <>
          <Heading title="There is no such page" />
          <p>
            <a href="/operator/now">See how it is now</a>
          </p>
        </>
      );
  }
}
