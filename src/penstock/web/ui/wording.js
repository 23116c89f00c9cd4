/** The gateway's codes in words: why a call waits, how one ended, and how each word is coloured. Pure. */

import { counted } from "./format.js";

/** @typedef {import("./types.js").CallView} CallView */
/** @typedef {import("./types.js").ModelView} ModelView */

/** @type {Record<import("./types.js").Phase, string>} */
const PHASE_TONES = {
  stopped: "quiet",
  starting: "load",
  ready: "good",
  draining: "wait",
  sleeping: "prompt",
  waking: "load",
  stopping: "wait",
  backoff: "bad",
  failed: "bad",
};

/** @type {Record<string, string>} */
const CALL_TONES = { reading: "quiet", queued: "wait", loading: "load", sent: "prompt", streaming: "good" };

/** @type {Record<string, string>} */
const CALL_WORDS = {
  reading: "sending its request",
  queued: "queued",
  loading: "loading",
  sent: "reading the prompt",
  streaming: "answering",
};

const BAD_OUTCOMES = new Set([
  "upstream_error",
  "interrupted",
  "deadline",
  "rejected_start_failed",
  "rejected_breaker",
]);

/** @param {string} phase a model's @returns {string} the tone of its word */
export function phaseTone(phase) {
  return PHASE_TONES[phase] ?? "quiet";
}

/** @param {string} phase a call's @returns {string} the tone of its word */
export function callTone(phase) {
  return CALL_TONES[phase] ?? "quiet";
}

/** @param {string} phase a call's */
export function callWords(phase) {
  return CALL_WORDS[phase] ?? plain(phase);
}

/** @param {string|null} outcome @returns {string} the tone of its word */
export function outcomeTone(outcome) {
  if (outcome === "completed") return "good";
  if (outcome === null) return "quiet";
  return BAD_OUTCOMES.has(outcome) ? "bad" : "wait";
}

/** @param {string|null} outcome null = not ended */
export function outcomeWords(outcome) {
  return outcome === null ? "open" : plain(outcome);
}

/** A code as words: "client_abandoned" reads "client abandoned". @param {string} code */
export function plain(code) {
  return code.replaceAll("_", " ");
}

/**
 * Why a call waits, as a clause.
 * @param {CallView} call
 * @param {ModelView|undefined} model the call's
 */
export function waitWords(call, model) {
  if (call.phase === "reading") return "its request is still arriving";
  const other = call.wait_for ?? "another model";
  switch (call.wait_reason) {
    case null:
      return UNTOLD;
    case "none":
      return "about to start";
    case "model_cap":
      return slotWords(model);
    case "key_cap":
      return `key ${call.key ?? "of this client"} runs as many as it may`;
    case "budget_full":
      return "the shared budget is used up";
    case "reserved":
      return `room is kept for ${other}`;
    case "exclusive":
      return `${other} must finish first, they never run together`;
    case "aged_in":
      return `${other} has waited longer`;
    case "loading":
      return call.wait_for ? `${call.wait_for} is being loaded` : "it is loaded when its turn comes";
    case "draining":
      return `${other} finishes its work, then makes room`;
    case "hold":
      return `${other} still has work, and keeps its place for a while`;
    case "memory":
      return `memory is taken by ${other}`;
    case "paused":
      return "paused by the operator";
    default:
      return plain(call.wait_reason);
  }
}

const UNTOLD = "waits for its turn";

function slotWords(model) {
  if (!model || model.slots === null) return "every slot is busy";
  return model.slots === 1 ? "the one slot is busy" : `all ${counted(model.slots, "slot")} busy`;
}
