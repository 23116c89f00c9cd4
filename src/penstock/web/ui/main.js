/** The page's beginning: wires the stream, the store, the clock and the history, and draws the page. */

import { Clock } from "./clock.js";
import { App } from "./components/app.js";
import { History } from "./history.js";
import { html, render } from "./html.js";
import { Store } from "./store.js";
import { follow } from "./stream.js";
import { options } from "./vendor/preact.module.js";

options.debounceRendering = requestAnimationFrame; // many deltas between two frames are one drawing

const store = new Store();
const clock = new Clock();
const history = new History();

function remember() {
  if (store.known && store.connection === "live") history.note(store.known, clock.now());
  else history.breakOff(clock.now());
}

store.subscribe(remember);
clock.subscribe(remember);
clock.start();
const stream = follow(store, clock);
const app = html`<${App} store=${store} clock=${clock} history=${history} stream=${stream} />`;
render(app, document.getElementById("page"));
