/** What the page asks the gateway to do. */

/** Marks a request as this page's own; a foreign page cannot send it without the gateway's consent. */
export const PAGE_HEADERS = { "Content-Type": "application/json", "X-Penstock-Page": "1" };

/** @param {string} model @returns {Promise<string|null>} why not; null = accepted */
export function loadModel(model) {
  return post("api/v1/models/load", { model });
}

/** @param {string} model @returns {Promise<string|null>} why not; null = accepted */
export function unloadModel(model) {
  return post("api/v1/models/unload", { model });
}

/**
 * Keeps a model loaded, or lets it go again.
 * @param {string} model
 * @param {boolean} isKept
 * @returns {Promise<string|null>} why not; null = accepted
 */
export function pinModel(model, isKept) {
  return post(isKept ? "api/v1/models/pin" : "api/v1/models/unpin", { model });
}

/** Ends a call, whether it waits or runs. @param {string} id @returns {Promise<string|null>} why not; null = ended */
export function cancelCall(id) {
  return post("api/v1/calls/cancel", { id, running: true });
}

async function post(path, body) {
  try {
    const response = await fetch(path, { method: "POST", headers: PAGE_HEADERS, body: JSON.stringify(body) });
    return response.ok ? null : await refusal(response);
  } catch {
    return "The gateway cannot be reached.";
  }
}

/** @param {Response} response @returns {Promise<string>} the gateway's words for why it refused */
export async function refusal(response) {
  const fallback = `The gateway answered ${response.status}.`;
  try {
    const message = (await response.json()).error?.message;
    return typeof message === "string" && message ? message : fallback;
  } catch {
    return fallback;
  }
}
