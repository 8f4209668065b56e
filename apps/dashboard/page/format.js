// @ts-check
// Numbers and moments for people.

const NONE = "–";

/** @param {number | null | undefined} value @param {number} [digits] */
export function number(value, digits = 0) {
  if (value == null) return NONE;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** @param {number | null | undefined} value */
export const percent = (value) => (value == null ? NONE : `${value < 10 ? value.toFixed(1) : value.toFixed(0)} %`);

/** @param {number | null | undefined} ms */
export function milliseconds(ms) {
  if (ms == null) return NONE;
  if (ms >= 60_000) return duration(ms / 1000);
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  if (ms < 0.1) return `${(ms * 1000).toFixed(0)} µs`;
  return `${ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;
}

/** @param {number | null | undefined} bytes */
export function bytes(bytes) {
  if (bytes == null) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; unit++) bytes /= 1024;
  return `${bytes.toFixed(unit > 1 && bytes < 100 ? 1 : 0)} ${units[unit]}`;
}

/**
 * A span in its two largest units.
 * @param {number} seconds
 */
export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return s < 600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/**
 * How long ago, in one unit.
 * @param {string} at
 */
export function ago(at) {
  const s = Math.max(0, Math.floor((Date.now() - Date.parse(at)) / 1000));
  if (Number.isNaN(s)) return NONE;
  if (s < 5) return "now";
  if (s < 60) return `${s - (s % 5)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return s < 86_400 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86_400)} d`;
}

/** @param {number} value */
const two = (value) => String(value).padStart(2, "0");

/**
 * The time of day.
 * @param {string | number} at @param {boolean} [fine] with milliseconds
 */
export function clock(at, fine = false) {
  const t = new Date(at);
  if (Number.isNaN(t.getTime())) return NONE;
  const text = `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
  return fine ? `${text}.${String(t.getMilliseconds()).padStart(3, "0")}` : text;
}

/**
 * The moment as it was said, and in local time.
 * @param {string} at
 */
export function exact(at) {
  const t = new Date(at);
  if (Number.isNaN(t.getTime())) return at;
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${clock(at, true)} (${at})`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
