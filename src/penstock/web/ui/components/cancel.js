/** The button that ends a call: it asks once more before it does, for what an engine has done is lost. */

import { cancelCall } from "../actions.js";
import { html, useEffect, useState } from "../html.js";

const SURE_MS = 4000;

/**
 * @param {object} props
 * @param {import("../types.js").CallView} props.call
 * @param {(tone: "good"|"bad", text: string) => void} props.tell
 */
export function Cancel({ call, tell }) {
  const [step, setStep] = useState(/** @type {"idle"|"sure"|"asking"} */ ("idle"));
  useEffect(() => {
    if (step !== "sure") return;
    const timer = setTimeout(() => setStep("idle"), SURE_MS);
    return () => clearTimeout(timer);
  }, [step]);
  async function onClick() {
    if (step === "idle") {
      setStep("sure");
      return;
    }
    setStep("asking");
    const refused = await cancelCall(call.id);
    if (refused) tell("bad", refused);
    setStep("idle"); // it vanishes from the list when it has ended
  }
  const whose = `${call.model ?? "a call"} for ${call.key ?? call.client_address ?? "somebody"}`;
  const label = step === "idle" ? `Cancel ${whose}` : `Really cancel ${whose}`;
  return html`
    <button type="button" class=${`button icon ${step === "idle" ? "" : "sure"}`} disabled=${step === "asking"}
      onClick=${onClick} aria-label=${label} title=${label}>
      ${step === "idle" ? "×" : "end?"}
    </button>`;
}
