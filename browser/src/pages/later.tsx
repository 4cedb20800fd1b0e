import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Heading } from "./heading";

/**
 * A page whose script is loaded when it is opened. Where it does not come, such as offline, the page says
 * so and can be asked again; the router's own way would stay blank for good.
 */
export function later<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let found: ComponentType<P> | undefined;
  return function Later(props: P) {
    const [tries, setTries] = useState(0);
    const [failed, setFailed] = useState(false);
    const [, arrived] = useState(0);
    useEffect(() => {
      if (found) return;
      setFailed(false);
      load().then(
        (page) => {
          found = page;
          arrived((count) => count + 1);
        },
        () => setFailed(true),
      );
    }, [tries]);
    if (found) {
      const Page = found;
      return <Page {...props} />;
    }
    if (!failed) return <p class="loading">Loading this page…</p>;
    return (
      <section>
        <Heading title="This page could not be loaded" />
        <p role="alert">Its script did not come from the server. The pages for learning work without it.</p>
        <button type="button" onClick={() => setTries(tries + 1)}>
          Try again
        </button>
      </section>
    );
  };
}
