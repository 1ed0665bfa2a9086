// Quantities as people read them. What is not known is a dash, never a zero.

export const NONE = "\u2013";

const known = (value) => typeof value === "number" && Number.isFinite(value);

export function count(value) {
  return known(value) ? Math.round(value).toLocaleString("en-US") : NONE;
}

export function number(value, digits = 1) {
  if (!known(value)) return NONE;
  return Number.isInteger(value) ? count(value) : value.toFixed(digits);
}

export function percent(share) {
  return known(share) ? `${Math.round(share * 100)}%` : NONE;
}

export function millis(ms) {
  if (!known(ms)) return NONE;
  const seconds = ms / 1000;
  if (seconds < 1) return `${Math.round(ms)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function micros(us) {
  if (!known(us)) return NONE;
  return us < 1000 ? `${us} \u00b5s` : millis(us / 1000);
}

export function bytes(size) {
  if (!known(size)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; size >= 1024 && unit + 1 < units.length; unit += 1) size /= 1024;
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

export function celsius(degrees) {
  return known(degrees) ? `${Math.round(degrees)} \u00b0C` : NONE;
}

export function clock(date) {
  return date.toLocaleTimeString("en-GB");
}

// What the chosen colour says: `healthy`, `degraded: ...` or `failed: ...`.
export function tone(verdict) {
  const word = String(verdict ?? "").split(":")[0];
  return word === "healthy" ? "good" : word === "failed" ? "bad" : "warn";
}
