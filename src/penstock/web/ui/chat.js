/** One chat request and its streamed answer, as the playground sees it. */

import { PAGE_HEADERS, refusal } from "./actions.js";

/** @typedef {{role: "user"|"assistant", content: string}} Message */
/** @typedef {{kind: "text"|"thought"|"note", text: string}} Piece note = what a waiting comment says */

const ANSWER_LIMIT_TOKENS = 1024;

/** The gateway refused, or the answer broke off with an error. */
export class ChatError extends Error {
  /** @param {string} message @param {number|null} status */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * Asks, and yields the answer piece by piece.
 * An empty key sends none; then the session's counts, if there is one.
 * @param {{model: string, messages: Message[], key: string, signal: AbortSignal}} question
 * @returns {AsyncGenerator<Piece>}
 */
export async function* ask({ model, messages, key, signal }) {
  const headers = { ...PAGE_HEADERS, ...(key && { Authorization: `Bearer ${key}` }) };
  const body = JSON.stringify({ model, messages, stream: true, max_tokens: ANSWER_LIMIT_TOKENS });
  const response = await fetch("v1/chat/completions", { method: "POST", headers, body, signal });
  if (!response.ok || !response.body) throw new ChatError(await refusal(response), response.status);
  for await (const line of lines(response.body)) {
    if (line === "data: [DONE]") return;
    yield* pieces(line);
  }
}

/** What one line of the stream says. @param {string} line @returns {Piece[]} */
export function pieces(line) {
  if (line.startsWith(":")) return [{ kind: "note", text: line.slice(1).trim() }];
  if (!line.startsWith("data:")) return [];
  const event = JSON.parse(line.slice(5));
  if (event.error) throw new ChatError(event.error.message ?? "The answer broke off.", null);
  const delta = event.choices?.[0]?.delta ?? {};
  /** @type {Piece[]} */
  const said = [];
  if (delta.reasoning_content) said.push({ kind: "thought", text: delta.reasoning_content });
  if (delta.content) said.push({ kind: "text", text: delta.content });
  return said;
}

async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const parts = (rest + value).split(/\r?\n/);
    rest = parts.pop() ?? "";
    yield* parts;
  }
  if (rest) yield rest;
}
