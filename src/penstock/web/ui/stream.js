/** The stream of the gateway's state: opens it, keeps it open, and hands on what it says. */

import { currentSession } from "./session.js";

const LIVE_PATH = "api/v1/live";
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 15000;

/**
 * The browser reconnects by itself after a broken connection, but gives up for good when the answer is not a stream
 * (a proxy's 502 while the gateway restarts, a 401); then it is opened anew here, or after somebody has logged in.
 * @param {import("./store.js").Store} store
 * @param {import("./clock.js").Clock} clock
 * @returns {{again: () => void, close: () => void}} begins anew; ends it until then
 */
export function follow(store, clock) {
  let retry_ms = FIRST_RETRY_MS;
  /** @type {EventSource|null} */
  let source = null;

  const isAnotherVersion = (/** @type {import("./types.js").State} */ snapshot) =>
    store.known !== null && store.known.gateway.version !== snapshot.gateway.version;

  function open() {
    source?.close();
    const stream = new EventSource(LIVE_PATH);
    source = stream;
    stream.addEventListener("snapshot", (event) => {
      const snapshot = JSON.parse(event.data);
      if (isAnotherVersion(snapshot)) location.reload(); // this page's files are the older version's
      clock.set(snapshot.now);
      store.replace(snapshot);
    });
    stream.addEventListener("delta", (event) => {
      const delta = JSON.parse(event.data);
      clock.hear(delta.now);
      store.apply(delta);
    });
    stream.addEventListener("open", () => {
      retry_ms = FIRST_RETRY_MS;
      store.connectionIs("live");
    });
    stream.addEventListener("error", () => {
      if (stream !== source) return;
      if (store.connection !== "locked") store.connectionIs("reconnecting");
      if (stream.readyState === EventSource.CLOSED) closed(stream);
    });
  }

  /** It will not come back by itself: because a key is wanted, or because the gateway is not there. */
  async function closed(/** @type {EventSource} */ stream) {
    const session = await currentSession();
    if (stream !== source) return;
    if (isLocked(session)) {
      store.lock();
      return;
    }
    if (session !== null) store.keyIs(session.key);
    setTimeout(() => stream === source && open(), retry_ms);
    retry_ms = Math.min(retry_ms * 2, LAST_RETRY_MS);
  }

  /** Asks first: a stream that is refused is an error in the browser's console, and says not why. */
  async function begin() {
    const session = await currentSession();
    if (isLocked(session)) {
      store.lock();
      return;
    }
    store.keyIs(session?.key ?? null);
    open();
  }

  function close() {
    source?.close();
    source = null;
    store.lock();
  }

  begin();
  return { again: begin, close };
}

/** @param {import("./session.js").Session|null} session */
function isLocked(session) {
  return session !== null && session.is_needed && session.key === null;
}
