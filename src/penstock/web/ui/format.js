/** Numbers and moments as people read them. Pure; null and undefined are unknown and read as a dash, never as 0. */

export const UNKNOWN = "–";
const NARROW_SPACE = "\u202f";

/** A span that is over: "412 ms", "3.24 s", "1 m 12 s". @param {number|null|undefined} seconds */
export function span(seconds) {
  if (seconds == null) return UNKNOWN;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  return wholeSpan(Math.round(seconds));
}

/**
 * A span that is still growing, in whole seconds: "7 s", "1 m 12 s", "2 h 5 m", "3 d 4 h".
 * @param {number|null|undefined} seconds
 */
export function wholeSpan(seconds) {
  if (seconds == null) return UNKNOWN;
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return two(Math.floor(whole / 60), "m", whole % 60, "s");
  if (whole < 86400) return two(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "m");
  return two(Math.floor(whole / 86400), "d", Math.floor((whole % 86400) / 3600), "h");
}

/** What is left until something happens: "4:05". @param {number} seconds */
export function countdown(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const padded = (/** @type {number} */ part) => String(part).padStart(2, "0");
  return hours ? `${hours}:${padded(minutes)}:${padded(rest)}` : `${minutes}:${padded(rest)}`;
}

/** "512 B", "1.5 KiB", "5.2 GiB". @param {number|null|undefined} count */
export function bytes(count) {
  if (count == null) return UNKNOWN;
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = count / 1024;
  let unit = 0;
  while (value >= 1023.5 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** "12 345", with a thin space. @param {number|null|undefined} count */
export function number(count) {
  if (count == null) return UNKNOWN;
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, NARROW_SPACE);
}

/** "38.2", "412". @param {number|null|undefined} perSecond */
export function rate(perSecond) {
  if (perSecond == null) return UNKNOWN;
  return perSecond < 99.95 ? perSecond.toFixed(1) : number(perSecond);
}

/** The time of day on this machine: "14:03:09". @param {number|null|undefined} epoch_s */
export function timeOfDay(epoch_s) {
  if (epoch_s == null) return UNKNOWN;
  return new Date(epoch_s * 1000).toLocaleTimeString("en-GB");
}

/** "2026-03-01 14:03:09.120" on this machine's clock. @param {number|null|undefined} epoch_s */
export function moment(epoch_s) {
  if (epoch_s == null) return UNKNOWN;
  const date = new Date(epoch_s * 1000);
  const millis = String(date.getMilliseconds()).padStart(3, "0");
  return `${date.toLocaleDateString("sv-SE")} ${date.toLocaleTimeString("en-GB")}.${millis}`;
}

/** "1 request", "2 requests". @param {number} count @param {string} noun */
export function counted(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** One word of a POSIX shell, whatever is in it. @param {string} text */
export function shellQuoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function two(large, largeUnit, small, smallUnit) {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}
