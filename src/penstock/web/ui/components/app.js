/** The whole page: its sections, and what lies over them. */

import { useStore } from "../hooks.js";
import { html, useMemo, useRef, useState } from "../html.js";
import { logOut } from "../session.js";
import { CaptureView } from "./capture.js";
import { Details } from "./details.js";
import { Header } from "./header.js";
import { Host } from "./host.js";
import { Login } from "./login.js";
import { Models } from "./models.js";
import { Now } from "./now.js";
import { Playground } from "./playground.js";
import { Queue } from "./queue.js";
import { Requests } from "./requests.js";
import { Running } from "./running.js";
import { Toasts, useToasts } from "./toasts.js";

/**
 * @param {object} props
 * @param {import("../store.js").Store} props.store
 * @param {import("../clock.js").Clock} props.clock
 * @param {import("../history.js").History} props.history
 * @param {{again: () => void, close: () => void}} props.stream
 */
export function App({ store, clock, history, stream }) {
  const { known, connection, key } = useStore(store);
  const [shown, setShown] = useState(/** @type {import("../types.js").RecordView|null} */ (null));
  const [captured, setCaptured] = useState(/** @type {{id: string, model: string|null}|null} */ (null));
  const [isPlaying, setPlaying] = useState(false);
  const { toasts, tell, dismiss } = useToasts();
  const show = useRef(setShown).current;
  const models = useMemo(() => [...(known?.models.values() ?? [])], [known?.models]);
  const calls = useMemo(() => [...(known?.calls.values() ?? [])], [known?.calls]);

  const leave = () => logOut().then(stream.close);
  if (connection === "locked") {
    return html`
      <${Header} connection=${connection} clock=${clock} />
      <main><${Login} onLogin=${stream.again} /></main>`;
  }
  return html`
    <${Header} gateway=${known?.gateway} connection=${connection} clock=${clock} onPlay=${() => setPlaying(true)}
      sessionKey=${key} onLeave=${leave} />
    <main data-connection=${connection}>
      ${
        known
          ? html`
          <${Now} known=${known} calls=${calls} clock=${clock} history=${history} />
          <div class="columns">
            <${Models} models=${models} clock=${clock} tell=${tell} mayChange=${store.mayChange} />
            <div class="stack">
              <${Queue} calls=${calls} models=${known.models} total=${known.counts.waiting} clock=${clock}
                tell=${tell} mayChange=${store.mayChange} />
              <${Running} calls=${calls} total=${known.counts.running} clock=${clock} show=${setCaptured}
                tell=${tell} mayChange=${store.mayChange} />
            </div>
          </div>
          ${known.host && html`<${Host} host=${known.host} />`}
          <${Requests} recent=${known.recent} models=${models} show=${show} wantsKey=${key !== null} />`
          : html`<p class="connecting">Connecting to the gateway…</p>`
      }
    </main>
    ${
      shown &&
      !captured &&
      html`<${Details} record=${shown} onClose=${() => setShown(null)} showCapture=${() => setCaptured(shown)} />`
    }
    ${
      captured &&
      html`<${CaptureView} id=${captured.id} title=${captured.model ?? "Capture"} onClose=${() => setCaptured(null)} />`
    }
    ${isPlaying && html`<${Playground} models=${models} onClose=${() => setPlaying(false)} />`}
    <${Toasts} toasts=${toasts} dismiss=${dismiss} />`;
}
