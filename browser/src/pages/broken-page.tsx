import { Component, type ComponentChildren } from "preact";
import { Heading } from "./heading";

interface Props {
  at: string;
  children: ComponentChildren;
}

interface State {
  at: string;
  broken: boolean;
}

/**
 * When a page breaks, the rest must stand: what waits is still being sent, and a white screen would tell
 * nobody so. `at`: where this is. At another address is another page, which need not be broken.
 */
export class BrokenPage extends Component<Props, State> {
  override state = { at: this.props.at, broken: false };

  static override getDerivedStateFromProps({ at }: Props, before: State) {
    return at === before.at ? null : { at, broken: false };
  }

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
