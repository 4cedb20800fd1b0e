import { Component, type ComponentChildren } from "preact";
import { Heading } from "./heading";

/**
 * When a page breaks, the rest must stand: what waits is still being sent, and a white screen would tell
 * nobody so.
 */
export class BrokenPage extends Component<{ children: ComponentChildren }, { broken: boolean }> {
  override state = { broken: false };

  static override getDerivedStateFromError() {
    return { broken: true };
  }

  override render() {
    if (!this.state.broken) return this.props.children;
    return (
      <section>
        <Heading title="This page broke" />
        <p role="alert">
          That is our mistake. What you did before is kept and still being sent: <a href="/waiting">look</a>.
        </p>
        <button type="button" onClick={() => this.setState({ broken: false })}>
          Show the page again
        </button>
      </section>
    );
  }
}
