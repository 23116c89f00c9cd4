/** The last requests: how each ended, where its time went, what it used. */

import { number, rate, span, timeOfDay, UNKNOWN } from "../format.js";
import { html, useMemo } from "../html.js";
import { endedAt, PART_NAMES, tokensPerSecond } from "../spans.js";
import { outcomeTone, outcomeWords } from "../wording.js";
import { FirstRequest } from "./first_request.js";
import { Head, Heading, useFolded, Word } from "./parts.js";
import { SplitBar } from "./split_bar.js";

/** @typedef {import("../types.js").RecordView} RecordView */

const LIMIT = 25;
/** @type {[string, string][]} */
const COLUMNS = [
  ["request-time", "Ended"],
  ["request-model", "Model"],
  ["request-key", "Key"],
  ["request-outcome", "Outcome"],
  ["request-split", "Where the time went"],
  ["request-total", "Total"],
  ["request-tokens", "Tokens"],
  ["request-rate", "Tokens/s"],
];

/**
 * @param {object} props
 * @param {RecordView[]} props.recent newest first
 * @param {import("../types.js").ModelView[]} props.models
 * @param {(record: RecordView) => void} props.show
 * @param {boolean} props.wantsKey of who calls
 */
export function Requests({ recent, models, show, wantsKey }) {
  const [shown, more] = useFolded(recent, LIMIT);
  return html`
    <section class="card" aria-labelledby="requests">
      <${Heading} title="Last requests" id="requests">${recent.length > 0 && html`<${Legend} />`}<//>
      ${recent.length === 0 && html`<${FirstRequest} models=${models} wantsKey=${wantsKey} />`}
      ${
        recent.length > 0 &&
        html`
        <table class="requests">
          <${Head} columns=${COLUMNS} />
          <tbody>${shown.map((record) => html`<${Request} key=${record.id} record=${record} show=${show} />`)}</tbody>
        </table>`
      }
      ${more}
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
  return useMemo(() => requestRow(record, show), [record, show]);
}

function requestRow(record, show) {
  const model = record.model ?? record.model_requested ?? UNKNOWN;
  return html`
    <tr onClick=${() => show(record)}>
      <td class="request-time"><button type="button" class="link">${timeOfDay(endedAt(record))}</button></td>
      <td class="request-model" title=${model}>${model}</td>
      <td class="request-key" title=${record.key}>${record.key ?? UNKNOWN}</td>
      <td class="request-outcome">
        <${Word} tone=${outcomeTone(record.outcome)} word=${outcomeWords(record.outcome)} />
      </td>
      <td class="request-split"><${SplitBar} record=${record} /></td>
      <td class="request-total">${span(record.done_s)}</td>
      <td class="request-tokens">${tokenWords(record)}</td>
      <td class="request-rate">${rate(tokensPerSecond(record))}</td>
    </tr>`;
}

/** Those of the prompt and those of the answer. */
function tokenWords({ prompt_tokens, completion_tokens }) {
  if (prompt_tokens == null && completion_tokens == null) return UNKNOWN;
  return `${number(prompt_tokens)} + ${number(completion_tokens)}`;
}
