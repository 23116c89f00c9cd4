/** Captures: what one call said and was answered, asked of the gateway; and what is said about a body. */

import { refusal } from "./actions.js";
import { bytes } from "./format.js";

/**
 * @typedef {object} Body
 * @property {number} passed_bytes
 * @property {number} missing_bytes
 * @property {string|null} absence why nothing is kept
 * @property {string|null} coding what was undone to read it
 * @property {string|null} text null = no text
 * @property {string|null} base64
 *
 * @typedef {{kind: string, text: string, name: string, id: string}} Piece
 * @typedef {{role: string, pieces: Piece[]}} Message
 *
 * @typedef {object} Conversation
 * @property {Message[]} asked
 * @property {Message[]} answered
 * @property {string|null} finish_reason
 * @property {string|null} usage
 * @property {string|null} error
 *
 * @typedef {object} Capture
 * @property {{id: string, model: string|null, outcome: string|null, http_status: number|null}} call
 * @property {string} level
 * @property {{method: string, target: string, http_version: string, headers: [string, string][], body: Body}} request
 * @property {{status: number|null, headers: [string, string][], body: Body}} response
 * @property {Conversation|null} conversation
 */

const ABSENCES = {
  level: "not kept: only headers are captured for this model",
  media: "not kept: sound, pictures and files never are",
  endpoint: "not kept: for this path it never is",
  coding: "not kept: compressed in a way that could not be searched for secrets",
};

/** @param {string} id @returns {string} where the JSON of a capture is */
export function captureAddress(id) {
  return `api/v1/captures/one?id=${encodeURIComponent(id)}`;
}

/** @param {string} id @returns {Promise<Capture>} throws an Error with the gateway's words */
export async function fetchCapture(id) {
  return (await fetched(captureAddress(id))).json();
}

/** The call as a curl command. @param {string} id @returns {Promise<string>} throws an Error like `fetchCapture` */
export async function fetchCurl(id) {
  return (await fetched(`api/v1/captures/curl?id=${encodeURIComponent(id)}`)).text();
}

/** How much of a body there is. @param {Body} body */
export function bodyWords(body) {
  const size = bytes(body.passed_bytes);
  if (body.absence) return `${size}, ${ABSENCES[body.absence] ?? body.absence}`;
  const parts = [body.passed_bytes === 0 ? "empty" : size];
  if (body.coding) parts.push(`sent with ${body.coding}`);
  if (body.missing_bytes) parts.push(`${bytes(body.missing_bytes)} of it are not kept`);
  if (body.base64 !== null) parts.push("no text, shown in base64");
  return parts.join(", ");
}

/** JSON with line breaks, whatever else as it is. @param {string} text */
export function pretty(text) {
  const begin = text.trimStart()[0];
  if (begin !== "{" && begin !== "[") return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function fetched(path) {
  const response = await fetch(path).catch(() => null);
  if (response === null) throw new Error("The gateway cannot be reached.");
  if (!response.ok) throw new Error(await refusal(response));
  return response;
}
