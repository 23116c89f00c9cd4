/** A conversation for reading: who said what, what was thought, which tools were called. */

import { pretty } from "../captures.js";
import { number } from "../format.js";
import { html, useState } from "../html.js";
import { plain } from "../wording.js";

/** @typedef {import("../captures.js").Piece} Piece */

const LAST_MESSAGES = 8;
const LONG = 2000;
const LONG_CODE = 20000;
const TITLES = { reasoning: "Reasoning", tool_call: "Calls", tool_result: "Result" };

/** @param {{talk: import("../captures.js").Conversation}} props */
export function Talk({ talk }) {
  const [isUnfolded, unfold] = useState(false);
  const hidden = isUnfolded ? 0 : Math.max(0, talk.asked.length - LAST_MESSAGES);
  return html`
    <div class="talk">
      ${
        hidden > 0 &&
        html`<button type="button" class="button" onClick=${() => unfold(true)}>Show ${number(hidden)} earlier</button>`
      }
      ${talk.asked.slice(hidden).map((message) => html`<${Said} message=${message} />`)}
      <h3>Answer</h3>
      ${talk.answered.length === 0 && html`<p class="quiet">Nothing that can be read.</p>`}
      ${talk.answered.map((message) => html`<${Said} message=${message} />`)}
      ${talk.error && html`<p class="failure">${talk.error}</p>`}
      ${talk.finish_reason && html`<p class="quiet">Ended: ${plain(talk.finish_reason)}</p>`}
      ${talk.usage && html`<p class="quiet"><code>${talk.usage}</code></p>`}
    </div>`;
}

function Said({ message }) {
  return html`
    <article class="said" data-role=${message.role}>
      <h4>${message.role}</h4>
      ${message.pieces.map((piece) => html`<${Spoken} piece=${piece} />`)}
    </article>`;
}

/** @param {{piece: Piece}} props */
function Spoken({ piece }) {
  if (piece.kind === "text") return html`<${Long} text=${piece.text} />`;
  if (piece.kind === "gap") return html`<p class="quiet">${piece.text} are not kept here</p>`;
  const title = `${TITLES[piece.kind] ?? plain(piece.kind)}${piece.name && ` ${piece.name}`}`;
  const isCode = piece.kind !== "reasoning";
  return html`
    <details class="aside" open=${piece.kind === "tool_call"}>
      <summary>${title}${piece.id && html` <small>${piece.id}</small>`}</summary>
      <${Long} text=${isCode ? pretty(piece.text) : piece.text} isCode=${isCode} />
    </details>`;
}

/** A text whose beginning is shown until the rest is asked for. @param {{text: string, isCode?: boolean}} props */
export function Long({ text, isCode = false }) {
  const [isUnfolded, unfold] = useState(false);
  const limit = isCode ? LONG_CODE : LONG;
  const isCut = !isUnfolded && text.length > limit * 1.2;
  const shown = isCut ? text.slice(0, limit) : text;
  return html`
    ${isCode ? html`<pre class="whole" tabindex="0">${shown}</pre>` : html`<p class="words">${shown}</p>`}
    ${
      isCut &&
      html`
      <button type="button" class="button" onClick=${() => unfold(true)}>
        Show ${number(text.length - limit)} more characters
      </button>`
    }`;
}
