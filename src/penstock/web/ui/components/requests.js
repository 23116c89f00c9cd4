/** The last requests: how each ended, where its time went, what it used. */

import { number, rate, span, timeOfDay } from "../format.js";
import { html, useMemo, useState } from "../html.js";
import { PART_NAMES, tokensPerSecond } from "../spans.js";
import { outcomeTone, plain } from "../wording.js";
import { FirstRequest } from "./first_request.js";
import { Heading, Word } from "./parts.js";
import { SplitBar } from "./split_bar.js";

const UNFOLDED = 25;

/** @typedef {import("../types.js").RecordView} RecordView */

/** @param {{recent: RecordView[], models: import("../types.js").ModelView[], show: (record: RecordView) => void}} props */
export function Requests({ recent, models, show }) {
  const [isUnfolded, setUnfolded] = useState(false);
  const shown = isUnfolded ? recent : recent.slice(0, UNFOLDED);
  return html`
    <section class="card" aria-labelledby="requests">
      <${Heading} title="Last requests" id="requests"><${Legend} /><//>
      ${recent.length === 0
        ? html`<${FirstRequest} models=${models} />`
        : html`
          <table class="requests">
            <thead>
              <tr>
                <th class="request-time">Ended</th><th class="request-model">Model</th><th class="request-key">Key</th><th class="request-outcome">Outcome</th>
                <th class="request-split">Where the time went</th><th class="request-total">Total</th>
                <th class="request-tokens">Tokens</th><th class="request-rate">Tokens/s</th>
              </tr>
            </thead>
            <tbody>${shown.map((record) => html`<${Request} key=${record.id} record=${record} show=${show} />`)}</tbody>
          </table>`}
      ${shown.length < recent.length && html`
        <button type="button" class="button more" onClick=${() => setUnfolded(true)}>Show ${number(recent.length - shown.length)} more</button>`}
    </section>`;
}

function Legend() {
  return html`
    <div class="legend">
      ${Object.entries(PART_NAMES).map(([part, name]) => html`<span><i class="swatch part-${part}"></i>${name}</span>`)}
    </div>`;
}

/** A closed record never changes: its row is made once. */
function Request({ record, show }) {
  return useMemo(() => html`
    <tr onClick=${() => show(record)}>
      <td class="request-time"><button type="button" class="link">${timeOfDay(record.done_s == null ? null : record.received_at + record.done_s)}</button></td>
      <td class="request-model" title=${record.model ?? record.model_requested ?? ""}>${record.model ?? record.model_requested ?? "–"}</td>
      <td class="request-key" title=${record.key ?? ""}>${record.key ?? "–"}</td>
      <td class="request-outcome"><${Word} tone=${outcomeTone(record.outcome)} word=${plain(record.outcome ?? "open")} /></td>
      <td class="request-split"><${SplitBar} record=${record} /></td>
      <td class="request-total">${span(record.done_s)}</td>
      <td class="request-tokens">${tokenWords(record)}</td>
      <td class="request-rate">${rate(tokensPerSecond(record))}</td>
    </tr>`, [record, show]);
}

function tokenWords({ prompt_tokens, completion_tokens }) {
  if (prompt_tokens == null && completion_tokens == null) return number(null);
  return `${number(prompt_tokens)} + ${number(completion_tokens)}`;
}
