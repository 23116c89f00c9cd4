/** Short messages about what the visitor just did; an error stays until it is dismissed. */

import { html, useRef, useState } from "../html.js";

const STAY_MS = 5000;

/** @typedef {{id: number, tone: "good"|"bad", text: string}} Toast */

export function useToasts() {
  const [toasts, setToasts] = useState(/** @type {Toast[]} */ ([]));
  const nextId = useRef(1);
  const dismiss = (/** @type {number} */ id) => setToasts((all) => all.filter((toast) => toast.id !== id));
  const tell = (/** @type {Toast["tone"]} */ tone, /** @type {string} */ text) => {
    const id = nextId.current++;
    setToasts((all) => [...all.slice(-3), { id, tone, text }]);
    if (tone === "good") setTimeout(() => dismiss(id), STAY_MS);
  };
  return { toasts, tell, dismiss };
}

/** @param {{toasts: Toast[], dismiss: (id: number) => void}} props */
export function Toasts({ toasts, dismiss }) {
  return html`
    <div class="toasts" aria-live="polite">
      ${toasts.map(
        (toast) => html`
        <div key=${toast.id} class="toast tone-${toast.tone}" role=${toast.tone === "bad" ? "alert" : "status"}>
          <span>${toast.text}</span>
          <button type="button" class="button icon" aria-label="Dismiss" onClick=${() => dismiss(toast.id)}>×</button>
        </div>`,
      )}
    </div>`;
}
