/** The bar on top: what this is, since when it runs, whether what is shown is live, and the page's own switches. */

import { wholeSpan } from "../format.js";
import { useNow } from "../hooks.js";
import { html, useEffect, useState } from "../html.js";
import { currentTheme, onThemeChange, toggleTheme } from "../theme.js";

const CONNECTION_WORDS = { connecting: "connecting", live: "live", reconnecting: "reconnecting" };

/** @param {{gateway: import("../types.js").Gateway|undefined, connection: import("../store.js").Connection, clock: import("../clock.js").Clock, onPlay: () => void}} props */
export function Header({ gateway, connection, clock, onPlay }) {
  return html`
    <header class="bar">
      <h1><img src="ui/mark.svg" alt="" width="24" height="24" />Penstock</h1>
      ${gateway && html`<span class="bar-facts"><span>${gateway.version}</span><${Uptime} gateway=${gateway} clock=${clock} /></span>`}
      <span class="bar-gap"></span>
      <span class="connection" data-connection=${connection} role="status">${CONNECTION_WORDS[connection]}</span>
      <button type="button" class="button" onClick=${onPlay} disabled=${!gateway}>Playground</button>
      <${ThemeButton} />
    </header>
    ${gateway?.health === "degraded" && html`<${Degraded} reasons=${gateway.health_reasons} />`}`;
}

function Uptime({ gateway, clock }) {
  const now_s = useNow(clock);
  return html`<span>up ${wholeSpan(now_s - gateway.started_at)}</span>`;
}

function Degraded({ reasons }) {
  return html`
    <div class="banner" role="alert">
      <strong>Not in full health.</strong> ${reasons.join(" · ")}
    </div>`;
}

function ThemeButton() {
  const [theme, setTheme] = useState(currentTheme);
  useEffect(() => onThemeChange(() => setTheme(currentTheme())), []);
  const label = theme === "dark" ? "Switch to light" : "Switch to dark";
  return html`
    <button type="button" class="button icon" onClick=${toggleTheme} aria-label=${label} title=${label}>
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        ${theme === "dark"
          ? html`<path d="M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.4 1.4M11.6 11.6L13 13M13 3l-1.4 1.4M4.4 11.6L3 13" class="stroke" /><circle cx="8" cy="8" r="3" class="stroke" />`
          : html`<path d="M13.5 9.8A5.8 5.8 0 0 1 6.2 2.5a5.8 5.8 0 1 0 7.3 7.3z" class="stroke" />`}
      </svg>
    </button>`;
}
