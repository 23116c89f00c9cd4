/** Logging in and out: a key is traded for a cookie, which no script can read and no other site can use. */

import { PAGE_HEADERS, refusal } from "./actions.js";

const PATH = "api/v1/session";

/** @typedef {{is_needed: boolean, key: import("./types.js").SessionKey|null}} Session */

/** @returns {Promise<Session|null>} null = the gateway does not answer */
export async function currentSession() {
  try {
    const response = await fetch(PATH);
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/** @param {string} key @returns {Promise<string|null>} why not; null = logged in */
export async function logIn(key) {
  try {
    const response = await fetch(PATH, { method: "POST", headers: PAGE_HEADERS, body: JSON.stringify({ key }) });
    return response.ok ? null : await refusal(response);
  } catch {
    return "The gateway cannot be reached.";
  }
}

/** Ends the session; if the gateway cannot be reached, it ends by itself within hours. */
export async function logOut() {
  try {
    await fetch(PATH, { method: "DELETE", headers: PAGE_HEADERS });
  } catch {
    // the stream, which is gone too, says so already
  }
}
