/**
 * How components hear of change: the store's, and the clock's.
 * They listen from the moment they are drawn: an effect after the paint would miss a snapshot that came before it.
 */

import { useLayoutEffect, useState } from "./html.js";

/** Draws the component again whenever the store changed. @param {import("./store.js").Store} store */
export function useStore(store) {
  const redraw = useRedraw();
  useLayoutEffect(() => store.subscribe(redraw), [store]);
  return store;
}

/**
 * The gateway's time, drawn again at every beat.
 * @param {import("./clock.js").Clock} clock
 * @returns {number} epoch seconds
 */
export function useNow(clock) {
  const redraw = useRedraw();
  useLayoutEffect(() => clock.subscribe(redraw), [clock]);
  return clock.now();
}

function useRedraw() {
  const [, setCount] = useState(0);
  return () => setCount((count) => count + 1);
}
