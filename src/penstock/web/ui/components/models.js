/** The models: what each is doing, how full it is, why it failed, and the buttons that load and unload it. */

import { loadModel, pinModel, unloadModel } from "../actions.js";
import { bytes, countdown, number, span, wholeSpan } from "../format.js";
import { useNow } from "../hooks.js";
import { html, useState } from "../html.js";
import { phaseTone } from "../wording.js";
import { Heading, More, Word } from "./parts.js";

const UNFOLDED = 12;
const PIPS_LIMIT = 16;
const CAN_LOAD = new Set(["stopped", "sleeping", "backoff", "failed"]);
const PIN = "M5.5 1.5h5M6.2 1.5v4.6L4 9h8L9.8 6.1V1.5M8 9v5.5";
const CHIPS = { unlisted: "unlisted", pinned: "is_pinned", paused: "is_paused" };
const CAN_UNLOAD = new Set(["starting", "ready", "waking", "draining"]);

/** @typedef {import("../types.js").ModelView} ModelView */

/**
 * @param {object} props
 * @param {ModelView[]} props.models
 * @param {import("../clock.js").Clock} props.clock
 * @param {(tone: "good"|"bad", text: string) => void} props.tell
 * @param {boolean} props.mayChange false = no buttons, which would only be refused
 */
export function Models({ models, clock, tell, mayChange }) {
  const [isUnfolded, setUnfolded] = useState(false);
  const folded = models.length > UNFOLDED && !isUnfolded ? models.filter(isAtRest) : [];
  const shown = folded.length ? models.filter((model) => !isAtRest(model)) : models;
  return html`
    <section class="card" aria-labelledby="models">
      <${Heading} title="Models" id="models" count=${models.length} />
      ${models.length === 0 && html`<${NoModels} />`}
      <ul class="models">
        ${shown.map((model) => {
          return html`
          <${Model} key=${model.name} model=${model} clock=${clock} tell=${tell} mayChange=${mayChange} />`;
        })}
      </ul>
      ${
        folded.length > 0 &&
        html`
        <${More} words="${number(folded.length)} stopped models" onClick=${() => setUnfolded(true)} />`
      }
    </section>`;
}

function isAtRest(model) {
  return model.phase === "stopped" && model.waiting === 0 && !model.failure;
}

function NoModels() {
  return html`
    <div class="empty">
      <p>No model is configured yet. A model is a name and how to run it:</p>
      <pre tabindex="0"><code>${"penstock: 1\nmodels:\n  my-model:\n    gguf: /path/to/model.gguf"}</code></pre>
    </div>`;
}

function Model({ model, clock, tell, mayChange }) {
  return html`
    <li class="model" data-phase=${model.phase}>
      <div class="model-name">
        <strong title=${model.name}>${model.name}</strong>
        ${model.kind && model.kind !== "chat" && html`<span class="chip">${model.kind}</span>`}
        <span>
          ${["unlisted", "pinned", "paused"].map(
            (word) => model[CHIPS[word]] && html`<span class="chip">${word}</span> `,
          )}
        </span>
        <small title=${modelNote(model)}>${modelNote(model)}</small>
      </div>
      <div class="model-state">
        <${Word} tone=${phaseTone(model.phase)} word=${model.phase} />
        <${Since} model=${model} clock=${clock} />
      </div>
      <div class="model-load"><${Slots} model=${model} /></div>
      <${Memory} model=${model} />
      <div class="model-action">
        ${mayChange && html`<${Pin} model=${model} tell=${tell} /><${Action} model=${model} tell=${tell} />`}
      </div>
      ${model.phase === "starting" && model.load_s && html`<${LoadProgress} model=${model} clock=${clock} />`}
      ${model.failure && html`<${Failure} model=${model} />`}
    </li>`;
}

/** What it was seen to take, else what it is expected to. */
function Memory({ model }) {
  const size = model.measured_bytes ?? model.memory_bytes;
  const title = model.measured_bytes ? "measured" : "expected";
  return html`<div class="model-memory" title=${title}>${size !== null && bytes(size)}</div>`;
}

function modelNote(model) {
  const parts = [];
  if (model.description) parts.push(model.description);
  if (model.aliases.length) parts.push(`also ${model.aliases.join(", ")}`);
  return parts.join(" · ");
}

function Since({ model, clock }) {
  const now_s = useNow(clock);
  return html`<small>${sinceWords(model, now_s)}</small>`;
}

function sinceWords(model, now_s) {
  if (!model.is_launched) return "runs elsewhere";
  const age_s = now_s - model.since;
  if (model.phase === "ready" && model.is_pinned && model.running === 0) return "idle, kept loaded";
  if (model.phase === "ready" && model.ttl_s !== null && model.idle_since !== null && model.running === 0) {
    return `idle, stops in ${countdown(model.idle_since + model.ttl_s - now_s)}`;
  }
  if (model.phase === "starting" && model.load_s) return `${wholeSpan(age_s)} of about ${wholeSpan(model.load_s)}`;
  if (model.phase === "stopped" && model.load_s)
    return `loads in about ${model.load_s < 1 ? span(model.load_s) : wholeSpan(Math.round(model.load_s))}`;
  return `for ${wholeSpan(age_s)}`;
}

function Slots({ model }) {
  const { running, slots, waiting } = model;
  return html`
    ${
      slots !== null &&
      slots <= PIPS_LIMIT &&
      html`
      <span class="pips" aria-hidden="true">
        ${Array.from({ length: slots }, (_, index) => html`<i class=${index < running ? "busy" : ""}></i>`)}
      </span>`
    }
    <span>${slots === null ? `${number(running)} running` : `${number(running)} of ${number(slots)}`}</span>
    ${waiting > 0 && html`<${Word} tone="wait" word="${number(waiting)} waiting" />`}`;
}

function LoadProgress({ model, clock }) {
  const now_s = useNow(clock);
  const share = Math.min(0.97, (now_s - model.since) / model.load_s); // not full before it is said to be ready
  const width = `${Math.max(0, share) * 100}%`;
  return html`<div class="progress" aria-hidden="true"><i style=${{ width }}></i></div>`;
}

function Failure({ model }) {
  return html`
    <div class="failure">
      <p>${model.failure}</p>
      ${model.log_tail && html`<${LogTail} lines=${model.log_tail} />`}
    </div>`;
}

function LogTail({ lines }) {
  return html`<details><summary>Last lines of its log</summary><pre tabindex="0">${lines}</pre></details>`;
}

/** Keeps the model loaded; to let it go again is as easy. */
function Pin({ model, tell }) {
  const [isAsking, setAsking] = useState(false);
  if (!model.is_launched) return null;
  async function onClick() {
    setAsking(true);
    const refused = await pinModel(model.name, !model.is_pinned);
    setAsking(false);
    if (refused) tell("bad", `${model.name}: ${refused}`);
  }
  const label = `${model.is_pinned ? "Unpin" : "Pin"} ${model.name}`;
  const title = model.is_pinned ? "It is kept loaded. Let it go when it is idle" : "Keep it loaded";
  return html`
    <button type="button" class="button icon" disabled=${isAsking} onClick=${onClick} aria-label=${label}
      aria-pressed=${Boolean(model.is_pinned)} title=${title}>
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true"><path d=${PIN} class="stroke" /></svg>
    </button>`;
}

function Action({ model, tell }) {
  const [isAsking, setAsking] = useState(false);
  if (!model.is_launched) return null;
  const deed = CAN_LOAD.has(model.phase) ? LOAD : CAN_UNLOAD.has(model.phase) ? UNLOAD : null;
  if (!deed) return null;
  const { word, ask } = deed;
  async function onClick() {
    setAsking(true);
    const refused = await ask(model.name);
    setAsking(false);
    if (refused) tell("bad", `${model.name}: ${refused}`);
  }
  const label = `${word} ${model.name}`;
  return html`
    <button type="button" class="button" disabled=${isAsking} onClick=${onClick} aria-label=${label}>
      ${word}
    </button>`;
}

const LOAD = { word: "Load", ask: loadModel };
const UNLOAD = { word: "Unload", ask: unloadModel };
