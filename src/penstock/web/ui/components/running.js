/** What the engines are working on. */

import { bytes, number, UNKNOWN, wholeSpan } from "../format.js";
import { useNow } from "../hooks.js";
import { html } from "../html.js";
import { callTone, callWords } from "../wording.js";
import { Cancel } from "./cancel.js";
import { Head, Heading, useFolded, Word } from "./parts.js";

const LIMIT = 8;
/** @type {[string, string][]} */
const COLUMNS = [
  ["call-model", "Model"],
  ["call-key", "Key"],
  ["call-why", "Doing"],
  ["call-bytes", "Sent back"],
  ["call-time", "For"],
];
/** @type {[string, string]} */
const ACTION = ["call-act", ""];

/**
 * @param {object} props
 * @param {import("../types.js").CallView[]} props.calls
 * @param {number} props.total those that are not told of included
 * @param {import("../clock.js").Clock} props.clock
 * @param {(call: import("../types.js").CallView) => void} props.show its capture
 * @param {(tone: "good"|"bad", text: string) => void} props.tell
 * @param {boolean} props.mayChange false = no buttons, which would only be refused
 */
export function Running({ calls, total, clock, show, tell, mayChange }) {
  const now_s = useNow(clock);
  const running = calls.filter((call) => call.admitted_at !== null).sort((a, b) => a.received_at - b.received_at);
  const [shown, more] = useFolded(running, LIMIT);
  const untold = total - running.length;
  return html`
    <section class="card" aria-labelledby="running">
      <${Heading} title="Running" id="running" count=${total} />
      ${running.length === 0 && html`<p class="empty">No engine is answering a request right now.</p>`}
      ${
        running.length > 0 &&
        html`
        <table class="calls">
          <${Head} columns=${mayChange ? [...COLUMNS, ACTION] : COLUMNS} />
          <tbody>
            ${shown.map((call) => {
              return html`
              <${Runner} key=${call.id} call=${call} now_s=${now_s} show=${show} tell=${mayChange && tell} />`;
            })}
          </tbody>
        </table>`
      }
      ${more}
      ${untold > 0 && html`<p class="rest">and ${number(untold)} more, not listed</p>`}
    </section>`;
}

function Runner({ call, now_s, show, tell }) {
  const model = call.model ?? UNKNOWN;
  return html`
    <tr>
      <td class="call-model" title=${call.model}>
        ${
          call.has_capture
            ? html`
            <button type="button" class="link" aria-label="What ${model} is asked" onClick=${() => show(call)}>
              ${model}
            </button>`
            : model
        }
      </td>
      <td class="call-key">${call.key ?? UNKNOWN} <small>${call.client_address}</small></td>
      <td class="call-why"><${Word} tone=${callTone(call.phase)} word=${callWords(call.phase)} /></td>
      <td class="call-bytes">${call.response_bytes > 0 && bytes(call.response_bytes)}</td>
      <td class="call-time">${wholeSpan(now_s - call.admitted_at)}</td>
      ${tell && html`<td class="call-act"><${Cancel} call=${call} tell=${tell} /></td>`}
    </tr>`;
}
