/** What stands where the requests will be: a line that makes the first one. */

import { shellQuoted } from "../format.js";
import { html } from "../html.js";
import { Snippet } from "./parts.js";

/** @param {{models: import("../types.js").ModelView[], wantsKey: boolean}} props */
export function FirstRequest({ models, wantsKey }) {
  const model = models.find(isChat) ?? models[0];
  return html`
    <div class="empty">
      <p>No request yet. Any OpenAI client works with the base URL <code>${here("v1")}</code>; this line does too:</p>
      <${Snippet} text=${curlLine(model, wantsKey)} />
    </div>`;
}

function isChat(model) {
  return model.kind === null || model.kind === "chat";
}

/** The address of a path beside this page, wherever a proxy has put it. */
function here(path) {
  return new URL(path, document.baseURI).href;
}

function curlLine(model, wantsKey) {
  const key = wantsKey ? ` \\\n  -H "Authorization: Bearer $PENSTOCK_KEY"` : "";
  if (!model) return `curl ${here("v1/models")}${key}`;
  const [path, rest] = isChat(model)
    ? ["v1/chat/completions", { messages: [{ role: "user", content: "Hello!" }] }]
    : ["v1/embeddings", { input: "Hello!" }];
  const body = shellQuoted(JSON.stringify({ model: model.name, ...rest }));
  return `curl ${here(path)} \\\n  -H 'Content-Type: application/json'${key} \\\n  -d ${body}`;
}
