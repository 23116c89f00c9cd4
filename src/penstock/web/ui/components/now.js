/** How busy the gateway is: four figures, and the curve of the last minutes. */

import { counted, number, span, wholeSpan } from "../format.js";
import { useNow } from "../hooks.js";
import { html } from "../html.js";
import { firstToken, median } from "../spans.js";
import { outcomeTone } from "../wording.js";
import { Chart } from "./chart.js";

const MINUTE_S = 60;
const RECENT_LIMIT = 100;

/**
 * @param {object} props
 * @param {import("../types.js").Known} props.known
 * @param {import("../types.js").CallView[]} props.calls
 * @param {import("../clock.js").Clock} props.clock
 * @param {import("../history.js").History} props.history
 */
export function Now({ known, calls, clock, history }) {
  const now_s = useNow(clock);
  const { running, waiting } = known.counts;
  const firstToken_s = median(known.recent.map(firstToken));
  return html`
    <section class="card now" aria-label="Now">
      <dl class="figures">
        <${Figure} name="Running" ink="running" value=${number(running)} note=${loadedNote(known.models)} />
        <${Figure} name="Waiting" ink="waiting" value=${number(waiting)} note=${waitNote(calls, waiting, now_s)} />
        <${Figure} name="Last minute" ...${lastMinute(known.recent, now_s)} />
        <${Figure} name="First token" value=${span(firstToken_s)} note="median of the latest" />
      </dl>
      <${Chart} history=${history} clock=${clock} />
    </section>`;
}

function Figure({ name, ink, value, note }) {
  return html`
    <div class="figure">
      <dt>${ink && html`<span class="swatch ink-${ink}" aria-hidden="true"></span>`}${name}</dt>
      <dd class="figure-value">${value}</dd>
      <dd class="figure-note">${note}</dd>
    </div>`;
}

function loadedNote(models) {
  const loaded = [...models.values()].filter((model) => model.phase === "ready" || model.phase === "draining").length;
  return loaded === 0 ? "no model is loaded" : `on ${counted(loaded, "loaded model")}`;
}

function waitNote(calls, waiting, now_s) {
  if (waiting === 0) return "nobody waits";
  const first = Math.min(...calls.filter((call) => call.admitted_at === null).map((call) => call.received_at));
  return Number.isFinite(first) ? `longest ${wholeSpan(now_s - first)}` : "";
}

function lastMinute(recent, now_s) {
  const ended = recent.filter((record) => record.received_at + (record.done_s ?? 0) > now_s - MINUTE_S);
  const failed = ended.filter((record) => outcomeTone(record.outcome) === "bad").length;
  const isCut = ended.length === RECENT_LIMIT; // no more than these are told of
  return { value: `${number(ended.length)}${isCut ? "+" : ""}`, note: endedNote(ended.length, failed) };
}

function endedNote(ended, failed) {
  if (ended === 0) return "no request ended";
  return failed ? `ended, ${number(failed)} failed` : "ended, none failed";
}
