/** What the engines are working on. */

import { bytes, number, wholeSpan } from "../format.js";
import { useNow } from "../hooks.js";
import { html, useState } from "../html.js";
import { callTone, callWords } from "../wording.js";
import { Heading, Word } from "./parts.js";

const UNFOLDED = 8;

/** @param {{calls: import("../types.js").CallView[], total: number, clock: import("../clock.js").Clock}} props */
export function Running({ calls, total, clock }) {
  const now_s = useNow(clock);
  const [isUnfolded, setUnfolded] = useState(false);
  const running = calls.filter((call) => call.admitted_at !== null).sort((a, b) => a.received_at - b.received_at);
  const shown = isUnfolded ? running : running.slice(0, UNFOLDED);
  const untold = Math.max(0, total - running.length);
  return html`
    <section class="card" aria-labelledby="running">
      <${Heading} title="Running" id="running" count=${number(total)} />
      ${running.length === 0
        ? html`<p class="empty">No engine is answering a request right now.</p>`
        : html`
          <table class="calls">
            <thead><tr><th class="call-model">Model</th><th class="call-key">Key</th><th class="call-why">Doing</th><th class="call-bytes">Sent back</th><th class="call-time">For</th></tr></thead>
            <tbody>${shown.map((call) => html`<${Runner} key=${call.id} call=${call} now_s=${now_s} />`)}</tbody>
          </table>`}
      ${shown.length < running.length && html`
        <button type="button" class="button more" onClick=${() => setUnfolded(true)}>Show ${number(running.length - shown.length)} more</button>`}
      ${untold > 0 && html`<p class="rest">and ${number(untold)} more, not listed</p>`}
    </section>`;
}

function Runner({ call, now_s }) {
  return html`
    <tr>
      <td class="call-model" title=${call.model}>${call.model}</td>
      <td class="call-key">${call.key ?? "–"} <small>${call.client_address}</small></td>
      <td class="call-why"><${Word} tone=${callTone(call.phase)} word=${callWords(call.phase)} /></td>
      <td class="call-bytes">${call.response_bytes > 0 && bytes(call.response_bytes)}</td>
      <td class="call-time">${wholeSpan(now_s - call.admitted_at)}</td>
    </tr>`;
}
