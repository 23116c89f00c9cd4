/** The stream of the gateway's state: opens it, keeps it open, and hands on what it says. */

const LIVE_PATH = "api/v1/live";
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 15000;

/**
 * The browser reconnects by itself after a broken connection, but gives up for good when the answer is not a stream
 * (a proxy's 502 while the gateway restarts); then it is opened anew here.
 * @param {import("./store.js").Store} store
 * @param {import("./clock.js").Clock} clock
 */
export function follow(store, clock) {
  let retry_ms = FIRST_RETRY_MS;

  const isAnotherVersion = (/** @type {import("./types.js").State} */ snapshot) =>
    store.known !== null && store.known.gateway.version !== snapshot.gateway.version;

  function open() {
    const source = new EventSource(LIVE_PATH);
    source.addEventListener("snapshot", (event) => {
      const snapshot = JSON.parse(event.data);
      if (isAnotherVersion(snapshot)) location.reload(); // this page's files are the older version's
      clock.set(snapshot.now);
      store.replace(snapshot);
    });
    source.addEventListener("delta", (event) => {
      const delta = JSON.parse(event.data);
      clock.hear(delta.now);
      store.apply(delta);
    });
    source.addEventListener("open", () => {
      retry_ms = FIRST_RETRY_MS;
      store.connectionIs("live");
    });
    source.addEventListener("error", () => {
      store.connectionIs("reconnecting");
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(open, retry_ms);
      retry_ms = Math.min(retry_ms * 2, LAST_RETRY_MS);
    });
  }

  open();
}
