/** Where the time of a closed call went. Pure: the parts of its bar, and the figures derived from its moments. */

/** @typedef {import("./types.js").RecordView} RecordView */
/** @typedef {"queue"|"load"|"prompt"|"decode"|"engine"} Part */
/** @typedef {{part: Part, seconds: number}} Stretch */

/**
 * The parts in the order in which they are drawn, and their names.
 * "engine" is the time in a slot when nobody saw the first token.
 * @type {Record<Part, string>}
 */
export const PART_NAMES = { queue: "queue", load: "load", prompt: "first token", decode: "decode", engine: "engine" };

/**
 * The stretches of a call, without the empty ones; what is unknown takes no room.
 * @param {RecordView} record
 * @returns {Stretch[]}
 */
export function stretches(record) {
  const end_s = record.done_s;
  if (end_s == null) return [];
  const waitEnd_s = record.admitted_s ?? end_s;
  const wait_s = record.enqueued_s == null ? 0 : waitEnd_s - record.enqueued_s;
  const load_s = Math.min(loadWait(record), wait_s);
  /** @type {Stretch[]} */
  const all = [
    { part: "queue", seconds: wait_s - load_s },
    { part: "load", seconds: load_s },
    ...service(record, end_s),
  ];
  return all.filter((stretch) => stretch.seconds > 0);
}

/** Epoch seconds; null = not known. @param {RecordView} record */
export function endedAt(record) {
  return record.done_s == null ? null : record.received_at + record.done_s;
}

/** Tokens of the answer per second while it was written; null = not known. @param {RecordView} record */
export function tokensPerSecond(record) {
  const tokens = record.completion_tokens;
  if (tokens == null) return null;
  if (record.engine_decode_ms) return (tokens * 1000) / record.engine_decode_ms;
  const first_s = firstToken(record);
  if (first_s == null || record.done_s == null || tokens < 2) return null;
  const decode_s = record.done_s - first_s;
  return decode_s > 0 ? (tokens - 1) / decode_s : null;
}

/**
 * When the first token was seen; null = it was not: an answer in one piece shows only its end.
 * @param {RecordView} record
 */
export function firstToken(record) {
  return record.streamed === false ? null : record.first_token_s;
}

/** The middle one; null = none is known. @param {(number|null|undefined)[]} values */
export function median(values) {
  const known = /** @type {number[]} */ (values.filter((value) => value != null)).sort((a, b) => a - b);
  return known.length ? known[Math.floor((known.length - 1) / 2)] : null;
}

/** @param {RecordView} record */
function loadWait(record) {
  return Math.max(0, record.load_wait_s ?? record.wait_reasons?.loading ?? 0);
}

/** @param {RecordView} record @param {number} end_s @returns {Stretch[]} */
function service(record, end_s) {
  if (record.admitted_s == null) return [];
  const first_s = firstToken(record);
  if (first_s == null) return [{ part: "engine", seconds: end_s - record.admitted_s }];
  return [
    { part: "prompt", seconds: first_s - record.admitted_s },
    { part: "decode", seconds: end_s - first_s },
  ];
}
