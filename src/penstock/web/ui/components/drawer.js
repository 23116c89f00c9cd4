/** A panel over the page's right side; a modal dialog, so the browser keeps the focus in it and Escape closes it. */

import { html, useLayoutEffect, useRef } from "../html.js";

/** @param {{title: string, kind?: string, onClose: () => void, children?: unknown}} props */
export function Drawer({ title, kind = "", onClose, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement|null} */ (null));
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const close = () => dialog.current?.close();
  const onBackdrop = (/** @type {MouseEvent} */ event) => event.target === dialog.current && close();
  return html`
    <dialog ref=${dialog} class=${`drawer ${kind}`} aria-labelledby="drawer-title" onClose=${onClose}
      onMouseDown=${onBackdrop}>
      <div class="drawer-inside">
        <div class="drawer-head">
          <h2 id="drawer-title">${title}</h2>
          <button type="button" class="button icon" aria-label="Close" onClick=${close}>×</button>
        </div>
        ${children}
      </div>
    </dialog>`;
}
