/** The last minutes as curves: how many ran and waited at each second, and when models were loaded. Pure. */

/** @typedef {import("./types.js").Known} Known */
/** @typedef {{model: string, start_s: number, end_s: number|null}} Load end_s null = still loading */

export const WINDOW_S = 600;
const RECENT_LIMIT = 100;
const LOADING_PHASES = new Set(["starting", "waking"]);

/** Points in time order. A null value is a gap: nothing was heard from the gateway. */
export class History {
  /** @type {number[]} */ times = [];
  /** @type {(number|null)[]} */ running = [];
  /** @type {(number|null)[]} */ waiting = [];
  /** @type {Load[]} */ loads = [];

  /**
   * Takes note of what holds now; of one second the peak is kept, so that short calls are seen.
   * @param {Known} known
   * @param {number} now_s
   */
  note(known, now_s) {
    if (this.times.length === 0) this.#recall(known, now_s);
    this.#add(Math.floor(now_s), known.counts.running, known.counts.waiting);
    this.#noteLoads(known.models);
    this.#forget(now_s - WINDOW_S);
  }

  /** The gateway is silent: the curve breaks off here. @param {number} now_s */
  breakOff(now_s) {
    if (this.times.length === 0 || this.running.at(-1) === null) return;
    this.#push(Math.max(Math.floor(now_s), this.times[this.times.length - 1] + 1), null, null);
  }

  /** What the closed and the open calls of the first snapshot say about the minutes before it. */
  #recall(known, now_s) {
    const { running, waiting } = known.counts;
    if (running + waiting > known.calls.size) return; // too many to be told of each: their past is not known
    const spans = [...known.recent.flatMap(spansOfRecord), ...[...known.calls.values()].flatMap(spansOfCall)];
    const from_s = Math.max(now_s - WINDOW_S, knownSince(known));
    for (const [second, peak] of peaks(spans, Math.ceil(from_s), Math.floor(now_s))) {
      this.#push(second, peak.running, peak.waiting);
    }
    this.loads = known.recent.flatMap(loadOfRecord).reverse();
  }

  #add(second, running, waiting) {
    const last = this.times.length - 1;
    if (last < 0 || this.times[last] < second || this.running[last] === null) this.#push(second, running, waiting);
    else {
      this.running[last] = Math.max(this.running[last] ?? 0, running);
      this.waiting[last] = Math.max(this.waiting[last] ?? 0, waiting);
    }
  }

  #push(second, running, waiting) {
    this.times.push(second);
    this.running.push(running);
    this.waiting.push(waiting);
  }

  #noteLoads(models) {
    for (const model of models.values()) {
      const open = this.loads.find((load) => load.model === model.name && load.end_s === null);
      const isLoading = LOADING_PHASES.has(model.phase);
      if (isLoading && !open) this.loads.push({ model: model.name, start_s: model.since, end_s: null });
      if (!isLoading && open) open.end_s = model.since;
    }
  }

  /** One point before the window stays, because its value reaches into it. */
  #forget(before_s) {
    const first = this.times.findIndex((second) => second >= before_s);
    for (const values of [this.times, this.running, this.waiting]) values.splice(0, Math.max(0, first - 1));
    this.loads = this.loads.filter((load) => load.end_s === null || load.end_s >= before_s);
  }
}

/** The recent records reach back to here without a hole. */
function knownSince(known) {
  if (known.recent.length < RECENT_LIMIT) return known.gateway.started_at;
  return Math.min(...known.recent.map((record) => record.received_at + (record.done_s ?? 0)));
}

function spansOfRecord(record) {
  if (record.done_s == null) return [];
  const at = (seconds) => record.received_at + seconds;
  const spans = [];
  if (record.enqueued_s != null) {
    spans.push({ kind: "waiting", start_s: at(record.enqueued_s), end_s: at(record.admitted_s ?? record.done_s) });
  }
  if (record.admitted_s != null)
    spans.push({ kind: "running", start_s: at(record.admitted_s), end_s: at(record.done_s) });
  return spans;
}

function spansOfCall(call) {
  const waited = { kind: "waiting", start_s: call.received_at, end_s: call.admitted_at ?? Infinity };
  if (call.admitted_at == null) return call.phase === "reading" ? [] : [waited];
  return [waited, { kind: "running", start_s: call.admitted_at, end_s: Infinity }];
}

function loadOfRecord(record) {
  if (!record.caused_load || record.engine_ready_s == null || !record.model) return [];
  const end_s = record.received_at + record.engine_ready_s;
  return [{ model: record.model, start_s: end_s - (record.load_wait_s ?? 0), end_s }];
}

/** For each second of [from, to): the most that ran and the most that waited at once. */
function peaks(spans, from_s, to_s) {
  const changes = spans.flatMap(({ kind, start_s, end_s }) => {
    return end_s > start_s
      ? [
          { at_s: start_s, kind, by: 1 },
          { at_s: end_s, kind, by: -1 },
        ]
      : [];
  });
  changes.sort((a, b) => a.at_s - b.at_s || a.by - b.by);
  const level = { running: 0, waiting: 0 };
  const result = [];
  let next = 0;
  for (let second = from_s; second < to_s; second += 1) {
    for (; next < changes.length && changes[next].at_s <= second; next += 1)
      level[changes[next].kind] += changes[next].by;
    const peak = { ...level };
    for (; next < changes.length && changes[next].at_s < second + 1; next += 1) {
      const { kind, by } = changes[next];
      level[kind] += by;
      peak[kind] = Math.max(peak[kind], level[kind]);
    }
    result.push([second, peak]);
  }
  return result;
}
