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
