/** A call's time as one bar, its parts in proportion. */

import { span } from "../format.js";
import { html } from "../html.js";
import { PART_NAMES, stretches } from "../spans.js";

/** @param {{record: import("../types.js").RecordView}} props */
export function SplitBar({ record }) {
  const parts = stretches(record);
  const total_s = parts.reduce((sum, { seconds }) => sum + seconds, 0);
  const words = parts.map(({ part, seconds }) => `${PART_NAMES[part]} ${span(seconds)}`).join(", ");
  return html`
    <div class="split" role="img" aria-label=${words || "unknown"} title=${words}>
      ${parts.map(({ part, seconds }) => {
        return html`<i class="part-${part}" style=${{ flexGrow: (100 * seconds) / total_s }}></i>`;
      })}
    </div>`;
}
