// @ts-check
// Elements from code. Text is always text: nothing here reads markup.

/** @typedef {Node | string | number | null | undefined | false | readonly any[]} Child */

/**
 * An element: `h("button.plain", { onclick: run, "aria-label": "Run" }, icon("play"), "Run")`.
 * Properties that begin with `on` are listeners, booleans switch an attribute, all else are attributes.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T | `${T}.${string}`} name the tag, then classes
 * @param {Record<string, unknown>} [properties]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) set(element, key, value);
  append(element, children);
  return /** @type {HTMLElementTagNameMap[T]} */ (element);
}

/** @param {Element} element @param {string} key @param {unknown} value */
export function set(element, key, value) {
  if (key.startsWith("on")) element.addEventListener(key.slice(2), /** @type {EventListener} */ (value));
  else if (value === true) element.setAttribute(key, "");
  else if (value === false || value == null) element.removeAttribute(key);
  else if (element.getAttribute(key) !== String(value)) element.setAttribute(key, String(value));
}

/** @param {Element} parent @param {Child[]} children */
function append(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(parent, child);
    else if (child instanceof Node) parent.append(child);
    else if (child != null && child !== false) parent.append(String(child));
  }
}

/**
 * Sets a text, and leaves alone what already says so: selections stay.
 * @param {Element} element @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * An icon of the sprite in the page.
 * @param {string} name @param {string} [label] without one it is decoration
 */
export function icon(name, label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("class", `icon icon-${name}`);
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** @template {HTMLElement} [E=HTMLElement] @param {string} id @returns {E} */
export function byId(id) {
  return /** @type {E} */ (document.getElementById(id));
}

/**
 * Makes the children of `parent` be one element per item, in their order. Elements live as long as their keys:
 * they are updated and moved, never made anew, so focus and selection survive.
 * @template I
 * @template {HTMLElement} E
 * @param {Element} parent
 * @param {I[]} items
 * @param {{ key: (item: I) => string, make: (item: I) => E, update?: (element: E, item: I) => void }} how
 */
export function list(parent, items, { key, make, update }) {
  /** @type {Map<string, E>} */
  const known = keyed.get(parent) ?? new Map();
  keyed.set(parent, known);
  const focused = document.activeElement;
  const wanted = new Set(items.map(key));
  for (const [name, element] of known) {
    if (wanted.has(name)) continue;
    element.remove();
    known.delete(name);
  }
  let next = parent.firstElementChild;
  for (const item of items) {
    let element = known.get(key(item));
    if (!element) known.set(key(item), (element = make(item)));
    update?.(element, item);
    if (next === element) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
  // Moving an element takes its focus away.
  if (focused instanceof HTMLElement && focused !== document.activeElement && parent.contains(focused)) focused.focus();
}

/** @type {WeakMap<Element, Map<string, any>>} */
const keyed = new WeakMap();

/**
 * Copies a text, also where there is no clipboard (it exists only in secure contexts).
 * @param {string} text
 */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { class: "offscreen", "aria-hidden": "true", tabindex: "-1" });
    area.value = text;
    const focused = document.activeElement;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (focused instanceof HTMLElement) focused.focus();
    return done;
  }
}

/**
 * A button that copies.
 * @param {() => string} text @param {string} label @param {Child[]} children
 */
export function copyButton(text, label, ...children) {
  const mark = icon("copy");
  const button = h("button.copy", { type: "button", "aria-label": label, title: label }, children, mark);
  button.addEventListener("click", async () => {
    const done = await copy(text());
    button.classList.toggle("done", done);
    announce(done ? "copied" : "cannot copy: select the text and copy it by hand");
    mark.firstElementChild?.setAttribute("href", done ? "#i-check" : "#i-cross");
    setTimeout(() => {
      button.classList.remove("done");
      mark.firstElementChild?.setAttribute("href", "#i-copy");
    }, 1400);
  });
  return button;
}

let spoken = 0;
/**
 * Tells screen readers; at most every two seconds, the newest wins.
 * @param {string} text
 */
export function announce(text) {
  clearTimeout(spoken);
  const region = byId("announcer");
  const last = Number(region.dataset.at ?? 0);
  spoken = window.setTimeout(
    () => {
      region.textContent = text;
      region.dataset.at = String(Date.now());
    },
    Math.max(50, last + 2000 - Date.now()),
  );
}
