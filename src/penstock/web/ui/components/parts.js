/** Small pieces that several sections are made of. */

import { number } from "../format.js";
import { html, useState } from "../html.js";

/** A word in its tone. @param {{tone: string, word: string}} props */
export function Word({ tone, word }) {
  return html`<span class="word tone-${tone}">${word}</span>`;
}

/**
 * A section's heading with its count.
 * @param {{title: string, id: string, count?: number|null, children?: unknown}} props
 */
export function Heading({ title, id, count = null, children }) {
  return html`
    <div class="heading">
      <h2 id=${id}>${title}${count !== null && html` <span class="count">${number(count)}</span>`}</h2>
      ${children}
    </div>`;
}

/**
 * Folds a long list: the first of it, and the button that shows the others.
 * @template T
 * @param {T[]} all
 * @param {number} limit
 * @returns {[T[], unknown]} what is shown, and the button or null
 */
export function useFolded(all, limit) {
  const [isUnfolded, setUnfolded] = useState(false);
  if (isUnfolded || all.length <= limit) return [all, null];
  const words = `${number(all.length - limit)} more`;
  return [all.slice(0, limit), html`<${More} words=${words} onClick=${() => setUnfolded(true)} />`];
}

/** The button below a folded list. @param {{words: string, onClick: () => void}} props */
export function More({ words, onClick }) {
  return html`<button type="button" class="button more" onClick=${onClick}>Show ${words}</button>`;
}

/** A table's head. @param {{columns: [string, string][]}} props the class and the title of each column */
export function Head({ columns }) {
  return html`<thead><tr>${columns.map(([kind, title]) => html`<th class=${kind}>${title}</th>`)}</tr></thead>`;
}

/** A shell line with a button that copies it. @param {{text: string}} props */
export function Snippet({ text }) {
  const [isCopied, setCopied] = useState(false);
  async function onClick() {
    if (!(await copied(text))) return;
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  }
  return html`
    <div class="snippet">
      <pre tabindex="0"><code>${text}</code></pre>
      <button type="button" class="button" onClick=${onClick}>${isCopied ? "Copied" : "Copy"}</button>
    </div>`;
}

/**
 * Copies a text; false = it could not.
 * Browsers lend the clipboard to secure origins only; elsewhere a selection and the old command do.
 */
export async function copied(text) {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  return isDone;
}
