/* Runs before the first paint, so that a chosen theme does not flash. Not a module, because modules wait. */
try {
  const chosen = localStorage.getItem("penstock.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  /* no storage: the system's preference stands */
}
