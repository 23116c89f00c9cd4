/** Dark or light: the system's preference until the visitor chooses; the choice is remembered in this browser. */

const STORAGE_KEY = "penstock.theme"; // read by theme_boot.js too
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

/** @returns {"dark"|"light"} */
export function currentTheme() {
  return /** @type {"dark"|"light"} */ (root.dataset.theme) ?? (systemIsDark.matches ? "dark" : "light");
}

/** The other theme; choosing what the system prefers anyway means following the system again. */
export function toggleTheme() {
  const chosen = currentTheme() === "dark" ? "light" : "dark";
  const isSystems = chosen === (systemIsDark.matches ? "dark" : "light");
  if (isSystems) delete root.dataset.theme;
  else root.dataset.theme = chosen;
  try {
    if (isSystems) localStorage.removeItem(STORAGE_KEY);
    else localStorage.setItem(STORAGE_KEY, chosen);
  } catch {
    // no storage: the choice lasts as long as the page
  }
}

/** @param {() => void} listener @returns {() => void} stops listening */
export function onThemeChange(listener) {
  const observer = new MutationObserver(listener);
  observer.observe(root, { attributeFilter: ["data-theme"] });
  systemIsDark.addEventListener("change", listener);
  return () => {
    observer.disconnect();
    systemIsDark.removeEventListener("change", listener);
  };
}
