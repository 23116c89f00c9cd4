/** The page's way of writing elements: `html` templates over Preact. Data is always text here, never markup. */

import htm from "./vendor/htm.module.js";
import { h } from "./vendor/preact.module.js";

export { render } from "./vendor/preact.module.js";
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact-hooks.module.js";

export const html = htm.bind(h);
