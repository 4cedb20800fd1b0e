import type { ComponentChildren, RefObject } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";

/**
 * A native modal dialog: the browser keeps the focus inside and gives it back afterwards, in whatever way
 * it is closed. `onClose` is the person's wish (Escape); who shows the dialog then takes it away.
 */
export function Modal({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const ended = useRef(false);
  const titleId = useId();
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => {
      ended.current = true;
      // An element that is only taken away gives no focus back.
      shown?.close();
    };
  }, []);
  // A browser tells `close` some time after the dialog has gone from the screen. Meanwhile a person may
  // have opened the next one: that late word must not close it. `cancel` comes before the dialog goes.
  const end = ({ target, currentTarget }: Event) => {
    // The `cancel` of a file field inside bubbles up to here, too.
    if (target === currentTarget && !ended.current) onClose();
  };
  return (
    <dialog ref={dialog} aria-labelledby={titleId} onCancel={end} onClose={end}>
      <h2 id={titleId}>{title}</h2>
      {children}
    </dialog>
  );
}

/** Takes the focus to a part of the page once the dialog is gone: while it is open, nothing else can have it. */
export function useFocusAfter(part: RefObject<HTMLElement | null>): () => void {
  const [times, setTimes] = useState(0);
  useLayoutEffect(() => {
    if (times > 0) part.current?.focus();
  }, [times]);
  return () => setTimes((before) => before + 1);
}
