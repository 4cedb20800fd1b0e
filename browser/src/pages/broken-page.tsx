import { Component, type ComponentChildren } from "preact";
import { Heading } from "./heading";

/**
 * When a page breaks, the rest must stand: events without a receipt live in this document, and a white
 * screen would make people reload it.
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
          That is our mistake. What you did is still being sent: please look at the line below before you load
          the page again.
        </p>
        <button type="button" onClick={() => this.setState({ broken: false })}>
          Show the page again
        </button>
      </section>
    );
  }
}
