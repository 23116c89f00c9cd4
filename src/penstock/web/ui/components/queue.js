/** Who waits: for what, why, for how long already, and for how long still. */

import { number, UNKNOWN, wholeSpan } from "../format.js";
import { useNow } from "../hooks.js";
import { html } from "../html.js";
import { waitWords } from "../wording.js";
import { Cancel } from "./cancel.js";
import { Head, Heading, useFolded } from "./parts.js";

/** @typedef {import("../types.js").CallView} CallView */
/** @typedef {import("../types.js").ModelView} ModelView */

const LIMIT = 8;
/** @type {[string, string][]} */
const COLUMNS = [
  ["call-place", "Place"],
  ["call-model", "Model"],
  ["call-key", "Key"],
  ["call-why", "Why it waits"],
  ["call-time", "Waited"],
];
/** @type {[string, string]} */
const ACTION = ["call-act", ""];

/**
 * @param {object} props
 * @param {CallView[]} props.calls
 * @param {Map<string, ModelView>} props.models
 * @param {number} props.total those that are not told of included
 * @param {import("../clock.js").Clock} props.clock
 * @param {(tone: "good"|"bad", text: string) => void} props.tell
 * @param {boolean} props.mayChange false = no buttons, which would only be refused
 */
export function Queue({ calls, models, total, clock, tell, mayChange }) {
  const now_s = useNow(clock);
  const waiters = inLine(
    calls.filter((call) => call.admitted_at === null),
    [...models.keys()],
  );
  const [shown, more] = useFolded(waiters, LIMIT);
  const untold = total - waiters.length;
  return html`
    <section class="card" aria-labelledby="queue">
      <${Heading} title="Queue" id="queue" count=${total} />
      ${waiters.length === 0 && html`<${Nobody} />`}
      ${
        waiters.length > 0 &&
        html`
        <table class="calls">
          <${Head} columns=${mayChange ? [...COLUMNS, ACTION] : COLUMNS} />
          <tbody>
            ${shown.map((call) => {
              return html`
              <${Waiter} key=${call.id} call=${call} model=${models.get(call.model)} now_s=${now_s}
                tell=${mayChange && tell} />`;
            })}
          </tbody>
        </table>`
      }
      ${more}
      ${untold > 0 && html`<p class="rest">and ${number(untold)} more, not listed</p>`}
    </section>`;
}

function Nobody() {
  return html`
    <p class="empty">
      Nobody waits. A request that finds no free slot stands here with its reason, instead of failing.
    </p>`;
}

/** One model's line after the other, each from its head; a call without a place stands at the end, by its age. */
function inLine(waiters, names) {
  const rank = new Map(names.map((name, index) => [name, index]));
  const line = (call) => rank.get(call.model) ?? names.length;
  const place = (call) => call.position ?? Number.MAX_SAFE_INTEGER;
  return waiters.sort((a, b) => line(a) - line(b) || place(a) - place(b) || a.received_at - b.received_at);
}

function Waiter({ call, model, now_s, tell }) {
  return html`
    <tr>
      <td class="call-place">${placeWords(call.position)}</td>
      <td class="call-model" title=${call.model}>${call.model ?? UNKNOWN}</td>
      <td class="call-key" title=${call.client_address}>
        ${call.key ?? UNKNOWN}<${Priority} priority=${call.priority} />
      </td>
      <td class="call-why">${waitWords(call, model)}<small title=${boundWords(call)}>${estimateWords(call)}</small></td>
      <td class="call-time">${wholeSpan(now_s - call.received_at)}</td>
      ${tell && html`<td class="call-act"><${Cancel} call=${call} tell=${tell} /></td>`}
    </tr>`;
}

function Priority({ priority }) {
  return !priority || priority === "normal" ? null : html`<span class="chip tone-${priority}">${priority}</span>`;
}

function placeWords(position) {
  if (position === null) return UNKNOWN;
  return position === 0 ? "next" : number(position + 1);
}

function estimateWords(call) {
  return call.estimate_s === null ? "" : `about ${wholeSpan(Math.ceil(call.estimate_s))} to go`;
}

/** The bound assumes that every call ahead runs as long as a call may: true, and seldom of interest. */
function boundWords(call) {
  return call.bound_s === null ? null : `starts within ${wholeSpan(call.bound_s)}, whatever the others do`;
}
