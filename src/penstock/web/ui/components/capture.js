/** What one call said and was answered: as a conversation, and as it went over the wire. */

import { bodyWords, captureAddress, fetchCapture, fetchCurl, pretty } from "../captures.js";
import { html, useEffect, useState } from "../html.js";
import { outcomeTone, outcomeWords } from "../wording.js";
import { Drawer } from "./drawer.js";
import { copied, Word } from "./parts.js";
import { Long, Talk } from "./talk.js";

/** @typedef {import("../captures.js").Capture} Capture */

const VIEWS = ["Conversation", "Request", "Response"];

/** @param {{id: string, title: string, onClose: () => void}} props */
export function CaptureView({ id, title, onClose }) {
  const { capture, error, load } = useCapture(id);
  const [chosen, choose] = useState(/** @type {string|null} */ (null));
  const view = chosen ?? (capture?.conversation ? "Conversation" : "Request");
  return html`
    <${Drawer} title=${title} kind="wide" onClose=${onClose}>
      ${error && html`<p class="failure" role="alert">${error}</p>`}
      ${!capture && !error && html`<p class="empty">Fetching…</p>`}
      ${
        capture &&
        html`
        <${Verdict} capture=${capture} />
        <div class="capture-bar">
          <div class="views" role="group" aria-label="View">
            ${VIEWS.filter((name) => name !== "Conversation" || capture.conversation).map(
              (name) => html`
              <button type="button" class="button" aria-pressed=${view === name} onClick=${() => choose(name)}>
                ${name}
              </button>`,
            )}
          </div>
          <${Tools} id=${id} isRunning=${capture.call.outcome === null} reload=${load} />
        </div>
        ${view === "Conversation" && capture.conversation && html`<${Talk} talk=${capture.conversation} />`}
        ${view === "Request" && html`<${Part} part=${capture.request} />`}
        ${view === "Response" && html`<${Part} part=${capture.response} />`}`
      }
    <//>`;
}

/** The capture, fetched when the view opens and again on demand. */
function useCapture(id) {
  const [capture, setCapture] = useState(/** @type {Capture|null} */ (null));
  const [error, setError] = useState("");
  const load = () =>
    fetchCapture(id).then(
      (found) => {
        setCapture(found);
        setError("");
      },
      (reason) => setError(reason.message),
    );
  useEffect(() => {
    load();
  }, [id]);
  return { capture, error, load };
}

function Verdict({ capture }) {
  const { call, request, response } = capture;
  return html`
    <p class="verdict">
      <${Word} tone=${outcomeTone(call.outcome)} word=${outcomeWords(call.outcome)} />
      <span>${response.status ?? call.http_status ?? "no answer"}</span>
      <code>${request.method} ${request.target}</code>
    </p>`;
}

function Tools({ id, isRunning, reload }) {
  const [said, say] = useState("");
  async function onCopy() {
    const isDone = await fetchCurl(id).then(copied, () => false);
    say(isDone ? "Copied" : "Not copied");
    setTimeout(() => say(""), 2000);
  }
  return html`
    <div class="tools">
      ${isRunning && html`<button type="button" class="button" onClick=${reload}>Refresh</button>`}
      <button type="button" class="button" onClick=${onCopy} aria-live="polite">${said || "Copy as curl"}</button>
      <a class="button" href="${captureAddress(id)}&download=true" download>Download JSON</a>
    </div>`;
}

/** Headers and body as they went over the wire. */
function Part({ part }) {
  const { headers, body } = part;
  const text = body.text ?? body.base64 ?? "";
  return html`
    <h3>Headers</h3>
    ${headers.length === 0 && html`<p class="quiet">None.</p>`}
    <dl class="fields">
      ${headers.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
    </dl>
    <h3>Body</h3>
    <p class="quiet">${bodyWords(body)}</p>
    ${text && html`<${Long} text=${pretty(text)} isCode />`}`;
}
