// @ts-check
// Signatures as nodes write them, `(String, Range{start: u64, end: u64}) -> u64`, and JSON that fits them.

const NUMBER = /^[iu](8|16|32|64|128)$/;

/**
 * JSON that the function would take, as a beginning: nothing for no argument, the value for one, a list for more.
 * @param {string} signature
 */
export function example(signature) {
  const shapes = argumentsOf(signature);
  if (shapes.length === 0) return "";
  const values = shapes.map((shape) => value(shape, 0));
  return shapes.length === 1 ? pretty(values[0]) : pretty(values);
}

/** @param {string} signature */
export function hint(signature) {
  const shapes = argumentsOf(signature);
  if (shapes.length === 0) return "No arguments: leave it empty.";
  if (shapes.length === 1) return `One argument, as it is: ${shapes[0]}`;
  return `A list of ${shapes.length}: [${shapes.join(", ")}]`;
}

/**
 * The shapes of the arguments, as texts.
 * @param {string} signature
 */
function argumentsOf(signature) {
  const text = signature.trim();
  if (!text.startsWith("(")) return [text.split("->")[0].trim()].filter(Boolean);
  return split(inside(text));
}

/**
 * What is between a bracket at the beginning and its partner.
 * @param {string} text
 */
function inside(text) {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    if ("([{<".includes(text[at])) depth++;
    if (")]}".includes(text[at]) || (text[at] === ">" && text[at - 1] !== "-")) depth--;
    if (depth === 0) return text.slice(1, at);
  }
  return text.slice(1);
}

/**
 * Parts between commas that are in no bracket.
 * @param {string} text
 */
function split(text) {
  const parts = [""];
  let depth = 0;
  for (const letter of text) {
    if ("([{<".includes(letter)) depth++;
    if (")]}>".includes(letter)) depth--;
    if (letter === "," && depth === 0) parts.push("");
    else parts[parts.length - 1] += letter;
  }
  return parts.map((part) => part.trim()).filter(Boolean);
}

/** @param {string} shape @param {number} depth @returns {unknown} */
function value(shape, depth) {
  if (depth > 8) return null;
  const inner = (/** @type {string} */ text) => value(text, depth + 1);
  if (shape === "f32" || shape === "f64") return new Float(1);
  if (NUMBER.test(shape)) return 1;
  if (shape === "bool") return true;
  if (shape === "String") return "text";
  if (shape === "char") return "a";
  if (shape === "bytes") return [];
  if (shape === "()") return null;
  if (shape.startsWith("Option<")) return null;
  if (shape.startsWith("Vec<")) return [inner(inside(shape.slice(3)))];
  if (shape.startsWith("Map<")) return { key: inner(split(inside(shape.slice(3)))[1] ?? "()") };
  if (shape.startsWith("(")) return split(inside(shape)).map(inner);
  if (shape.startsWith("[")) return row(inside(shape), inner);
  if (shape.startsWith("enum IpAddr{")) return "127.0.0.1"; // JSON is for people, and so are addresses in it.
  if (shape.startsWith("enum SocketAddr{")) return "127.0.0.1:6969";
  if (shape.startsWith("enum ")) return variant(split(inside(shape.slice(shape.indexOf("{"))))[0] ?? "", inner);
  if (shape.includes("{")) return fields(inside(shape.slice(shape.indexOf("{"))), inner);
  if (shape.includes("(")) return newtype(split(inside(shape.slice(shape.indexOf("(")))).map(inner));
  return null;
}

/** @param {string} text `u8; 16` @param {(text: string) => unknown} inner */
function row(text, inner) {
  const at = text.lastIndexOf(";");
  return Array.from({ length: Math.min(64, Number(text.slice(at + 1)) || 0) }, () => inner(text.slice(0, at).trim()));
}

/** @param {string} text `start: u64, end: u64` @param {(text: string) => unknown} inner */
function fields(text, inner) {
  const pairs = split(text).map((field) => field.split(/:(.*)/s));
  return Object.fromEntries(pairs.map(([name, shape]) => [name.trim(), inner((shape ?? "()").trim())]));
}

/** @param {string} text one of an enum's @param {(text: string) => unknown} inner */
function variant(text, inner) {
  const name = text.split(/[({]/)[0];
  if (text.includes("{", name.length)) return { [name]: fields(inside(text.slice(name.length)), inner) };
  if (text.includes("(", name.length)) return { [name]: newtype(split(inside(text.slice(name.length))).map(inner)) };
  return name;
}

/** @param {unknown[]} values */
const newtype = (values) => (values.length === 1 ? values[0] : values);

/** A number that JSON shows with a point, so that it is seen what is meant. */
class Float {
  /** @param {number} number */
  constructor(number) {
    this.number = number;
  }
}

/**
 * JSON on one line while it is short.
 * @param {unknown} value
 */
function pretty(value) {
  const mark = "\u0001";
  const write = (/** @type {number} */ indent) =>
    JSON.stringify(
      value,
      (_, one) => (one instanceof Float ? `${mark}${one.number.toFixed(1)}${mark}` : one),
      indent,
    ).replace(/"\\u0001(.*?)\\u0001"/g, "$1");
  const line = write(0).replace(/([,:])(?=\S)/g, "$1 ");
  return line.length <= 60 ? line : write(2);
}
