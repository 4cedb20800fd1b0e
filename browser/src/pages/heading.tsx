import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

let firstView = true;

/**
 * The one h1 of a page. After moving to another page the focus goes here, so that somebody who listens
 * hears where they are; on the first page the browser reads from the top by itself. A title that changes
 * under somebody who is typing leaves them in their field.
 */
export function Heading({ title, children }: { title: string; children?: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => {
    document.title = `${title} · Holdfast`;
    // No scrolling: going back must find the place where one was.
    if (!firstView && !inField(document.activeElement)) heading.current?.focus({ preventScroll: true });
    firstView = false;
  }, [title]);
  return (
    <h1 ref={heading} tabIndex={-1}>
      {children ?? title}
    </h1>
  );
}

const inField = (focused: Element | null): boolean => focused?.matches("input, select, textarea") ?? false;
