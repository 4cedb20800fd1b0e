import type { Portal } from "../../state/portal";
import { Heading } from "../heading";

// biome-ignore lint/style/noDefaultExport: a page that is loaded when opened is its module's one thing
export default function AdminPages({ portal }: { portal: Portal }) {
  const principal = portal.session.session.value?.principal;
  return <Heading title={`Administration for ${principal?.name ?? "nobody"}`} />;
}
