/** Everything that is known about one closed call. */

import { bytes, moment, number, rate, span, UNKNOWN } from "../format.js";
import { html } from "../html.js";
import { PART_NAMES, stretches, tokensPerSecond } from "../spans.js";
import { outcomeTone, outcomeWords, plain } from "../wording.js";
import { Drawer } from "./drawer.js";
import { Word } from "./parts.js";
import { SplitBar } from "./split_bar.js";

/** @typedef {import("../types.js").RecordView} RecordView */

/** @type {[string, string[]][]} */
const GROUPS = [
  [
    "Request",
    [
      "received_at",
      "method",
      "path",
      "dialect",
      "model_requested",
      "model",
      "engine",
      "streamed",
      "key",
      "client_address",
      "workload",
      "session",
      "request_bytes",
      "response_bytes",
    ],
  ],
  [
    "Scheduling",
    [
      "priority_asked",
      "priority",
      "position_at_entry",
      "wait_reasons",
      "caused_load",
      "waited_for_load",
      "pool",
      "cost",
    ],
  ],
  ["Spans", ["queue_wait_s", "load_wait_s", "ttft_s", "decode_s", "service_s", "total_s"]],
  [
    "Moments after its arrival",
    ["enqueued_s", "engine_ready_s", "admitted_s", "sent_s", "first_byte_s", "first_token_s", "done_s"],
  ],
  [
    "Tokens",
    [
      "prompt_tokens",
      "cached_tokens",
      "completion_tokens",
      "reasoning_tokens",
      "drafted_tokens",
      "accepted_tokens",
      "token_source",
      "finish_reason",
      "engine_prompt_ms",
      "engine_decode_ms",
    ],
  ],
];
const ABOVE = new Set(["outcome", "abandoned_in", "http_status", "error_code", "error_detail", "has_capture"]);

/** @param {{record: RecordView, onClose: () => void, showCapture: () => void}} props */
export function Details({ record, onClose, showCapture }) {
  const named = new Set([...GROUPS.flatMap(([, fields]) => fields), ...ABOVE]);
  const others = Object.keys(record).filter((field) => !named.has(field));
  return html`
    <${Drawer} title=${record.model ?? record.model_requested ?? "Request"} onClose=${onClose}>
      <p class="verdict">
        <${Word} tone=${outcomeTone(record.outcome)} word=${outcomeWords(record.outcome)} />
        <span>${verdict(record)}</span>
      </p>
      ${
        (record.error_code || record.error_detail) &&
        html`
        <div class="failure"><p>${[record.error_code, record.error_detail].filter(Boolean).join(": ")}</p></div>`
      }
      ${record.has_capture && html`<${Captured} showCapture=${showCapture} />`}
      <${SplitBar} record=${record} />
      <dl class="parts">
        ${stretches(record).map(
          ({ part, seconds }) => html`
          <div><dt><i class="swatch part-${part}"></i>${PART_NAMES[part]}</dt><dd>${span(seconds)}</dd></div>`,
        )}
        <div><dt>tokens/s</dt><dd>${rate(tokensPerSecond(record))}</dd></div>
      </dl>
      ${GROUPS.map(([title, fields]) => html`<${Group} title=${title} fields=${fields} record=${record} />`)}
      <${Group} title="Identity" fields=${others} record=${record} />
    <//>`;
}

function Captured({ showCapture }) {
  return html`
    <p class="captured">
      <button type="button" class="button primary" onClick=${showCapture}>What was said</button>
    </p>`;
}

function verdict(record) {
  const parts = [];
  if (record.abandoned_in) parts.push(`while ${plain(record.abandoned_in)}`);
  if (record.http_status != null) parts.push(`status ${record.http_status}`);
  if (record.done_s != null) parts.push(`after ${span(record.done_s)}`);
  return parts.join(", ");
}

function Group({ title, fields, record }) {
  const told = fields.filter((field) => field in record);
  if (told.length === 0) return null;
  return html`
    <h3>${title}</h3>
    <dl class="fields">
      ${told.map((field) => html`<div><dt>${fieldName(field)}</dt><dd>${fieldWords(field, record[field])}</dd></div>`)}
    </dl>`;
}

/** The unit is in the value. */
function fieldName(field) {
  return plain(field.replace(/_(s|at|ms)$/, ""));
}

function fieldWords(field, value) {
  if (value === null || value === "") return UNKNOWN;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (field === "wait_reasons") return reasonWords(value);
  if (typeof value !== "number") return typeof value === "string" ? value : JSON.stringify(value);
  if (field.endsWith("_at")) return moment(value);
  if (field.endsWith("_ms")) return span(value / 1000);
  if (field.endsWith("_s")) return span(value);
  if (field.endsWith("_bytes")) return bytes(value);
  return Number.isInteger(value) ? number(value) : String(value);
}

function reasonWords(reasons) {
  const parts = Object.entries(reasons).map(([reason, seconds]) => `${plain(reason)} ${span(seconds)}`);
  return parts.length ? parts.join(", ") : "none";
}
