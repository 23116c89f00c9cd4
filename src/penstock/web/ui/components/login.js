/** What the page shows while the gateway wants a key: one field, and why the last key was refused. */

import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { logIn } from "../session.js";

/** @param {{onLogin: () => void}} props called once the gateway has taken the key */
export function Login({ onLogin }) {
  const [key, setKey] = useState("");
  const [fault, setFault] = useState("");
  const [isBusy, setBusy] = useState(false);
  const field = useRef(/** @type {HTMLInputElement|null} */ (null));
  useLayoutEffect(() => field.current?.focus(), []);

  async function submit(/** @type {SubmitEvent} */ event) {
    event.preventDefault();
    setBusy(true);
    const refused = await logIn(key);
    setBusy(false);
    setFault(refused ?? "");
    if (refused === null) onLogin();
  }

  return html`
    <form class="card login" aria-label="Log in" onSubmit=${submit}>
      <h2>This gateway wants a key</h2>
      <p>Show one with the role viewer or admin. It is traded for a session of 12 hours and not kept.</p>
      <label>Key
        <input ref=${field} type="password" name="key" autocomplete="current-password" required
          aria-describedby="login-fault" value=${key} onInput=${(event) => setKey(event.target.value)} />
      </label>
      <p id="login-fault" class="login-fault" role="alert">${fault}</p>
      <button type="submit" class="button primary" disabled=${isBusy || key.trim() === ""}>Log in</button>
    </form>`;
}
