/** The gateway's clock as the page knows it, and the beat at which everything that counts seconds is drawn again. */

const BEAT_MS = 1000;

/** Corrects this machine's clock by what the gateway says about its own. */
export class Clock {
  #offset_s = 0;
  #listeners = new Set();

  /** @param {() => number} localNow_s */
  constructor(localNow_s = () => Date.now() / 1000) {
    this.localNow_s = localNow_s;
  }

  /** Epoch seconds on the gateway's clock. */
  now() {
    return this.localNow_s() + this.#offset_s;
  }

  /** A snapshot sets the clock. @param {number} now epoch seconds */
  set(now) {
    this.#offset_s = now - this.localNow_s();
  }

  /** A delta can only put it forward: what came late made the gateway's clock look slow. @param {number} now */
  hear(now) {
    this.#offset_s = Math.max(this.#offset_s, now - this.localNow_s());
  }

  /** @param {() => void} listener called at every beat @returns {() => void} stops listening */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Begins to beat. @returns {() => void} ends it */
  start() {
    const timer = setInterval(() => this.#listeners.forEach((listener) => listener()), BEAT_MS);
    return () => clearInterval(timer);
  }
}
