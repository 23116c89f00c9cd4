/** Who waits: for what, why, for how long already, and for how long still. */

import { number, wholeSpan } from "../format.js";
import { useNow } from "../hooks.js";
import { html, useState } from "../html.js";
import { waitWords } from "../wording.js";
import { Heading } from "./parts.js";

const UNFOLDED = 8;

/** @typedef {import("../types.js").CallView} CallView */

/** @param {{calls: CallView[], models: Map<string, import("../types.js").ModelView>, total: number, clock: import("../clock.js").Clock}} props */
export function Queue({ calls, models, total, clock }) {
  const now_s = useNow(clock);
  const [isUnfolded, setUnfolded] = useState(false);
  const waiters = inLine(calls.filter((call) => call.admitted_at === null), [...models.keys()]);
  const shown = isUnfolded ? waiters : waiters.slice(0, UNFOLDED);
  const untold = Math.max(0, total - waiters.length);
  return html`
    <section class="card" aria-labelledby="queue">
      <${Heading} title="Queue" id="queue" count=${number(total)} />
      ${waiters.length === 0
        ? html`<p class="empty">Nobody waits. A request that finds no free slot stands here with its reason, instead of failing.</p>`
        : html`
          <table class="calls">
            <thead><tr><th class="call-place">Place</th><th class="call-model">Model</th><th class="call-key">Key</th><th class="call-why">Why it waits</th><th class="call-time">Waited</th></tr></thead>
            <tbody>${shown.map((call) => html`<${Waiter} key=${call.id} call=${call} model=${models.get(call.model)} now_s=${now_s} />`)}</tbody>
          </table>`}
      ${shown.length < waiters.length && html`
        <button type="button" class="button more" onClick=${() => setUnfolded(true)}>Show ${number(waiters.length - shown.length)} more</button>`}
      ${untold > 0 && html`<p class="rest">and ${number(untold)} more, not listed</p>`}
    </section>`;
}

/** One model's line after the other, each from its head; a call without a place stands at the end, by its age. */
function inLine(waiters, names) {
  const place = (call) => call.position ?? Number.MAX_SAFE_INTEGER;
  return waiters.sort((a, b) => {
    return names.indexOf(a.model) - names.indexOf(b.model) || place(a) - place(b) || a.received_at - b.received_at;
  });
}

function Waiter({ call, model, now_s }) {
  return html`
    <tr>
      <td class="call-place">${call.position === null ? "–" : call.position === 0 ? "next" : number(call.position + 1)}</td>
      <td class="call-model" title=${call.model}>${call.model}</td>
      <td class="call-key"><span title=${call.client_address ?? ""}>${call.key ?? "–"}</span>${call.priority !== "normal" && html`<span class="chip tone-${call.priority}">${call.priority}</span>`}</td>
      <td class="call-why">${waitWords(call, model)}<small>${estimateWords(call)}</small></td>
      <td class="call-time">${wholeSpan(now_s - call.received_at)}</td>
    </tr>`;
}

function estimateWords(call) {
  const parts = [];
  if (call.estimate_s !== null) parts.push(`about ${wholeSpan(call.estimate_s)} to go`);
  if (call.bound_s !== null) parts.push(`${wholeSpan(call.bound_s)} at most`);
  return parts.join(", ");
}
