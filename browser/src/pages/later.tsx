import type { ComponentType, FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Heading } from "./heading";

export type Later<P> = FunctionComponent<P> & {
  /** Loads it before anybody asks for it. A failure is told to whoever opens the page, not here. */
  ahead(): void;
};

/**
 * A page whose script is loaded when it is opened. Where it does not come, such as offline, the page says
 * so and can be asked again; the router's own way would stay blank for good.
 */
export function later<P extends object>(load: () => Promise<ComponentType<P>>): Later<P> {
  let found: ComponentType<P> | undefined;

  async function fetchIt(): Promise<void> {
    found ??= await load();
  }

  function Page(props: P) {
    const [tries, setTries] = useState(0);
    const [failed, setFailed] = useState(false);
    const [, arrived] = useState(0);
    useEffect(() => {
      if (found) return;
      setFailed(false);
      fetchIt().then(
        () => arrived((count) => count + 1),
        () => setFailed(true),
      );
    }, [tries]);
    if (found) {
      const Found = found;
      return <Found {...props} />;
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
  }

  return Object.assign(Page, { ahead: () => void fetchIt().catch(() => {}) });
}
