/** A small chat with any model that is served here: a question, its streamed answer, and how fast it came. */

import { ask, ChatError } from "../chat.js";
import { span } from "../format.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../html.js";
import { Drawer } from "./drawer.js";

/** @typedef {{role: "user"|"assistant", content: string, thought?: string, note?: string, isBroken?: boolean}} Turn */

const INVITATION = "Ask something. If the model is not loaded yet it will be, and the page shows it happen.";

/** @param {{models: import("../types.js").ModelView[], onClose: () => void}} props */
export function Playground({ models, onClose }) {
  const choices = models.filter((model) => model.kind === null || model.kind === "chat");
  const [model, setModel] = useState(choices[0]?.name ?? "");
  const [key, setKey] = useState("");
  const [isKeyAsked, setKeyAsked] = useState(false);
  const { turns, isBusy, send, stop, clear } = useChat(() => setKeyAsked(true));
  return html`
    <${Drawer} title="Playground" onClose=${onClose}>
      <div class="chat-choice">
        <label>Model
          <select value=${model} onChange=${(event) => setModel(event.target.value)}>
            ${choices.map((choice) => html`<option value=${choice.name}>${choice.name}</option>`)}
          </select>
        </label>
        ${isKeyAsked && html`<${KeyField} value=${key} onInput=${(event) => setKey(event.target.value)} />`}
        <button type="button" class="button" onClick=${clear} disabled=${isBusy || turns.length === 0}>Clear</button>
      </div>
      <${Turns} turns=${turns} isBusy=${isBusy} />
      <${Composer} isBusy=${isBusy} isReady=${model !== ""} stop=${stop} send=${(text) => send({ model, key, text })} />
    <//>`;
}

function KeyField({ value, onInput }) {
  return html`<label>Key<input type="password" autocomplete="off" value=${value} onInput=${onInput} /></label>`;
}

/** The conversation; the answer that is being written is its last turn. */
function useChat(onKeyNeeded) {
  const [turns, setTurns] = useState(/** @type {Turn[]} */ ([]));
  const [isBusy, setBusy] = useState(false);
  const abort = useRef(/** @type {AbortController|null} */ (null));
  useEffect(() => () => abort.current?.abort(), []);

  async function send({ model, key, text }) {
    const asked = [...turns.filter((turn) => !turn.isBroken), { role: "user", content: text }];
    const messages = asked.map(({ role, content }) => ({ role, content }));
    const draw = (/** @type {Turn} */ answer) => setTurns([...asked, answer]);
    abort.current = new AbortController();
    setBusy(true);
    try {
      await answered(ask({ model, messages, key, signal: abort.current.signal }), draw);
    } catch (error) {
      if (error instanceof ChatError && error.status === 401) onKeyNeeded();
      const isStopped = error instanceof DOMException && error.name === "AbortError";
      const words = isStopped ? "stopped" : error instanceof Error ? error.message : String(error);
      setTurns((now) => [
        ...now.slice(0, asked.length),
        { content: "", ...now[asked.length], role: "assistant", note: words, isBroken: true },
      ]);
    } finally {
      setBusy(false);
    }
  }

  return { turns, isBusy, send, stop: () => abort.current?.abort(), clear: () => setTurns([]) };
}

/** Draws the answer as it grows. */
async function answered(pieces, draw) {
  const started_ms = performance.now();
  let first_ms = null;
  /** @type {Turn} */
  let answer = { role: "assistant", content: "", thought: "", note: "waiting" };
  draw(answer);
  for await (const piece of pieces) {
    if (piece.kind !== "note") first_ms ??= performance.now();
    answer = withPiece(answer, piece);
    draw(answer);
  }
  const end_ms = performance.now();
  const first = first_ms === null ? "no token" : `first token after ${span((first_ms - started_ms) / 1000)}`;
  draw({ ...answer, note: `${first}, ${span((end_ms - started_ms) / 1000)} in all` });
}

function withPiece(answer, piece) {
  if (piece.kind === "note") return { ...answer, note: piece.text };
  if (piece.kind === "thought") return { ...answer, thought: answer.thought + piece.text, note: "" };
  return { ...answer, content: answer.content + piece.text, note: "" };
}

function Turns({ turns, isBusy }) {
  const end = useRef(/** @type {HTMLElement|null} */ (null));
  useEffect(() => end.current?.scrollIntoView({ block: "end" }), [turns]);
  return html`
    <div class="turns" aria-live="polite" aria-busy=${isBusy} tabindex="0">
      ${turns.length === 0 && html`<p class="empty">${INVITATION}</p>`}
      ${turns.map(
        (turn) => html`
        <div class="turn ${turn.role}">
          ${turn.thought && html`<p class="thought">${turn.thought}</p>`}
          ${turn.content && html`<p>${turn.content}</p>`}
          ${turn.note && html`<small class=${turn.isBroken ? "tone-bad" : ""}>${turn.note}</small>`}
        </div>`,
      )}
      <div ref=${end}></div>
    </div>`;
}

/** The text is read from the field itself when it is sent: fingers may be faster than the next frame. */
function Composer({ isBusy, isReady, send, stop }) {
  const field = useRef(/** @type {HTMLTextAreaElement|null} */ (null));
  useLayoutEffect(() => field.current?.toggleAttribute("autofocus", true), []); // the dialog, opened next, focuses it
  function submit(event) {
    event.preventDefault();
    const text = field.current?.value ?? "";
    if (isBusy || !isReady || !text.trim()) return;
    send(text);
    field.current.value = "";
  }
  function onKeyDown(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  }
  return html`
    <form class="composer" onSubmit=${submit}>
      <textarea ref=${field} rows="3" aria-label="Message" placeholder="Message" onKeyDown=${onKeyDown} />
      ${
        isBusy
          ? html`<button type="button" class="button" onClick=${stop}>Stop</button>`
          : html`<button type="submit" class="button primary" disabled=${!isReady}>Send</button>`
      }
    </form>`;
}
