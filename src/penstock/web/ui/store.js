/** The last state the gateway told, and the one place where a delta changes it. Pure but for telling its listeners. */

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Delta} Delta */
/** @typedef {import("./types.js").Known} Known */
/** @typedef {"connecting"|"live"|"reconnecting"|"locked"} Connection locked = the gateway wants a key */

const RECENT_LIMIT = 100;

/**
 * Maps keep the gateway's order and are safe against names such as `__proto__`.
 * @param {State} snapshot
 * @returns {Known}
 */
export function fromSnapshot(snapshot) {
  const { models, calls, ...rest } = snapshot;
  return { ...rest, models: new Map(Object.entries(models)), calls: new Map(Object.entries(calls)) };
}

/**
 * What is known after a delta; the very same object when the delta is old news.
 * Parts that did not change stay themselves.
 * @param {Known} known
 * @param {Delta} delta
 * @returns {Known}
 */
export function withDelta(known, delta) {
  if (delta.seq <= known.seq) return known;
  return {
    seq: delta.seq,
    now: delta.now,
    gateway: delta.gateway ? { ...known.gateway, ...delta.gateway } : known.gateway,
    models: merged(known.models, delta.models),
    calls: merged(known.calls, delta.calls),
    counts: delta.counts ? { ...known.counts, ...delta.counts } : known.counts,
    recent: withRecent(known.recent, delta.recent),
    host: delta.host ?? known.host,
  };
}

/** Tells its listeners whenever the state or the connection changed. */
export class Store {
  /** @type {Known|null} null = nothing was told yet */
  known = null;
  /** @type {Connection} */
  connection = "connecting";
  /** @type {import("./types.js").SessionKey|null} whose session this is; null = nobody's, as far as is known */
  key = null;
  #listeners = new Set();

  /** @param {State} snapshot */
  replace(snapshot) {
    this.known = fromSnapshot(snapshot);
    this.#tell();
  }

  /** A delta without a snapshot before it says nothing. @param {Delta} delta */
  apply(delta) {
    if (!this.known) return;
    const next = withDelta(this.known, delta);
    if (next === this.known) return;
    this.known = next;
    this.#tell();
  }

  /** @param {Connection} connection */
  connectionIs(connection) {
    if (this.connection === connection) return;
    this.connection = connection;
    this.#tell();
  }

  /** Whether this page's visitor may act: without keys everybody may who sees the page at all. */
  get mayChange() {
    return this.key === null || this.key.role === "admin";
  }

  /** The gateway answers only who shows a key; what was shown before is nobody's to see. */
  lock() {
    this.known = null;
    this.key = null;
    this.connection = "locked";
    this.#tell();
  }

  /** @param {import("./types.js").SessionKey|null} key */
  keyIs(key) {
    this.key = key;
    this.#tell();
  }

  /** @param {() => void} listener @returns {() => void} stops listening */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell() {
    for (const listener of this.#listeners) listener();
  }
}

function merged(current, changes) {
  if (!changes) return current;
  const next = new Map(current);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) next.delete(name);
    else next.set(name, value);
  }
  return next;
}

function withRecent(current, added) {
  if (!added || added.length === 0) return current;
  const fresh = new Set(added.map((record) => record.id));
  return [...added, ...current.filter((record) => !fresh.has(record.id))].slice(0, RECENT_LIMIT);
}
