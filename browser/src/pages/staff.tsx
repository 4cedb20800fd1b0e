import type { Principal } from "../wire/shapes";
import { Heading } from "./heading";
import { usePortal } from "./use-portal";
import { roleInWords } from "./words";

/** For those who run a school or the platform: who they are here, and what else they can reach. */
export function StaffPage() {
  const { session } = usePortal();
  const principal = session.session.value?.principal;
  if (principal === undefined) return null;
  return (
    <>
      <Heading title={`Hello, ${principal.name}`} />
      <h2>Who you are here</h2>
      <Who principal={principal} />
      <h2>How the portal is</h2>
      <p class="small">
        <a href="/api/health">All that health reports to you</a>, as JSON.
      </p>
      <h2>What else you can do</h2>
      <ul>
        <li>
          Call the interface: <a href="/api/openapi.json">/api/openapi.json</a> describes every call this
          server answers, and which of them are for you.
        </li>
        <li>
          On the server's own machine, <code>holdfast --help</code> lists the commands, for example{" "}
          <code>holdfast import-course PATH --org SLUG</code> to bring in a course written in Markdown.
        </li>
      </ul>
    </>
  );
}

function Who({ principal }: { principal: Principal }) {
  return (
    <dl class="facts">
      <div>
        <dt>Name</dt>
        <dd>{principal.name}</dd>
      </div>
      <div>
        <dt>E-mail</dt>
        <dd>{principal.email}</dd>
      </div>
      {principal.orgs.map((org) => (
        <div key={org.id}>
          <dt>{org.id === principal.orgId ? "Organisation" : "Also in"}</dt>
          <dd>
            {org.name}: {org.roles.map(roleInWords).join(", ")}
          </dd>
        </div>
      ))}
      {principal.roles.includes("operator") && (
        <div>
          <dt>Platform</dt>
          <dd>{roleInWords("operator")}</dd>
        </div>
      )}
    </dl>
  );
}
