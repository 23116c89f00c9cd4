/** The bar on top: what this is, since when it runs, whether what is shown is live, and the page's own switches. */

import { wholeSpan } from "../format.js";
import { useNow } from "../hooks.js";
import { html, useEffect, useState } from "../html.js";
import { currentTheme, onThemeChange, toggleTheme } from "../theme.js";

const SUN =
  "M5 8a3 3 0 1 0 6 0a3 3 0 1 0-6 0M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.4 1.4M11.6 11.6L13 13M13 3l-1.4 1.4M4.4 11.6L3 13";
const MOON = "M13.5 9.8A5.8 5.8 0 0 1 6.2 2.5a5.8 5.8 0 1 0 7.3 7.3z";

/**
 * @param {object} props
 * @param {import("../types.js").Gateway} [props.gateway]
 * @param {import("../store.js").Connection} props.connection
 * @param {import("../clock.js").Clock} props.clock
 * @param {() => void} [props.onPlay]
 * @param {import("../types.js").SessionKey|null} [props.sessionKey] whose session this is
 * @param {() => void} [props.onLeave]
 */
export function Header({ gateway, connection, clock, onPlay, sessionKey, onLeave }) {
  return html`
    <header class="bar">
      <h1><img src="page/mark.svg" alt="" width="24" height="24" />Penstock</h1>
      ${gateway && html`<${Facts} gateway=${gateway} clock=${clock} />`}
      <span class="bar-gap"></span>
      <span class="connection" data-connection=${connection} role="status">${connection}</span>
      ${onPlay && html`<button type="button" class="button" onClick=${onPlay} disabled=${!gateway}>Playground</button>`}
      ${sessionKey && html`<${Leave} sessionKey=${sessionKey} onLeave=${onLeave} />`}
      <${ThemeButton} />
    </header>
    ${gateway?.health === "degraded" && html`<${Degraded} reasons=${gateway.health_reasons} />`}`;
}

function Leave({ sessionKey, onLeave }) {
  const whose = `Logged in with the key ${sessionKey.name}, as ${sessionKey.role}`;
  return html`
    ${sessionKey.role === "viewer" && html`<span class="chip" title="This key may look, not change">viewer</span>`}
    <button type="button" class="button" onClick=${onLeave} title=${whose}>Log out</button>`;
}

function Facts({ gateway, clock }) {
  const up_s = useNow(clock) - gateway.started_at;
  return html`<span class="bar-facts"><span>${gateway.version}</span><span>up ${wholeSpan(up_s)}</span></span>`;
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
        <path d=${theme === "dark" ? SUN : MOON} class="stroke" />
      </svg>
    </button>`;
}
