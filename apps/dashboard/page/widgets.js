// @ts-check
// Small pieces that several screens share.

import { h, icon, set } from "./dom.js";
import { onWorld, world } from "./world.js";

/** @typedef {import("./contract").Failure} Failure */

/**
 * Two letters in the colour of a node: never the colour alone.
 * @param {string} id @param {string} name
 */
export function tag(id, name) {
  const letters = Array.from(name.replace(/[^\p{L}\p{N}]/gu, ""));
  // Those that are only numbered are told apart by their numbers.
  const last = letters.length > 2 && /\d/.test(letters[letters.length - 1]);
  const short = (letters[0] ?? "?") + (letters[last ? letters.length - 1 : 1] ?? "");
  return h("span.tag", { class: dress(id), "data-of": id, "aria-hidden": "true" }, short);
}

/** @param {string} id */
function dress(id) {
  const colour = world.nodes.get(id)?.colour;
  return colour == null ? "tag pale" : `tag colour-${colour}`;
}

// Some were drawn before their nodes were known.
onWorld(() => {
  for (const pale of document.querySelectorAll(".tag.pale"))
    set(pale, "class", dress(/** @type {HTMLElement} */ (pale).dataset.of ?? ""));
});

/**
 * A node in a line of text.
 * @param {{ id: string, name: string }} node
 */
export const nodeName = ({ id, name }) => h("span.node", { title: id }, tag(id, name), h("span.name", {}, name));

/**
 * Docs of Rust, as far as they are marked with backticks.
 * @param {string} text
 */
export const prose = (text) => text.split("`").map((part, at) => (at % 2 ? h("code", {}, part) : part));

/**
 * Icon, word and colour.
 * @param {string} status
 */
export const statusBadge = (status) => h("span", { class: `status is-${status}` }, icon(status), status);

/**
 * A number with a bar below it.
 * @param {string} text @param {number | null} share 0 to 100
 */
export function meter(text, share) {
  if (share == null) return h("span", {}, text);
  const bar = h("i");
  bar.style.width = `${Math.min(100, Math.max(0, share))}%`;
  const load = share >= 90 ? "full" : share >= 75 ? "high" : "calm";
  return h("span", { class: `meter ${load}` }, text, h("span.bar", { "aria-hidden": "true" }, bar));
}

/**
 * Values as a line of the height of a text.
 * @param {number[]} values
 */
export function sparkline(values) {
  const [width, height] = [44, 14];
  const high = Math.max(...values);
  const low = Math.min(...values, high * 0.6);
  const x = (/** @type {number} */ at) => (at / Math.max(1, values.length - 1)) * width;
  const y = (/** @type {number} */ value) => height - 1.5 - ((value - low) / (high - low || 1)) * (height - 3);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("points", values.map((value, at) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" "));
  svg.append(line);
  return svg;
}

const OUTCOMES = {
  not_applied: "It did not happen.",
  applied: "It did happen.",
  unknown: "It may have happened.",
};

/**
 * Fills a place for errors; `null` clears it.
 * @param {HTMLElement} place @param {Failure | null} failure @param {boolean} [outcome] tell it too
 */
export function problem(place, failure, outcome = false) {
  place.hidden = !failure;
  place.replaceChildren();
  if (!failure) return;
  const told = outcome && failure.outcome ? OUTCOMES[failure.outcome] : null;
  place.append(
    icon("failed"),
    h(
      "div",
      {},
      h("p.message", {}, failure.message, " ", h("code", {}, failure.code)),
      told && h("p.outcome", {}, told),
      failure.next && h("p.next", {}, failure.next),
    ),
  );
}

export const problemBox = () => h("div.problem", { "data-role": "error", role: "alert", hidden: true });

/**
 * One of several, as buttons side by side.
 * @param {string} label
 * @param {[string, string][]} choices values and words
 * @param {(value: string) => void} chosen
 */
export function choice(label, choices, chosen, first = choices[0][0]) {
  const buttons = choices.map(([value, word]) =>
    h(
      "button",
      { type: "button", "data-value": value, "aria-pressed": String(value === first), onclick: () => choose(value) },
      word,
    ),
  );
  /** @param {string} value */
  const choose = (value) => {
    for (const button of buttons) set(button, "aria-pressed", String(button.dataset.value === value));
    chosen(value);
  };
  return h("div.choice", { role: "group", "aria-label": label }, buttons);
}

/**
 * A select whose options follow the nodes.
 * @param {HTMLSelectElement} select @param {[string, string][]} first what is before them
 */
export function nodeOptions(select, first) {
  const wanted = [
    ...first,
    ...[...world.nodes.values()].map((node) => [node.id, node.name + (node.self ? " (this node)" : "")]),
  ];
  const text = JSON.stringify(wanted);
  if (select.dataset.options === text) return;
  select.dataset.options = text;
  const chosen = select.value;
  select.replaceChildren(...wanted.map(([value, word]) => h("option", { value }, word)));
  select.value = wanted.some(([value]) => value === chosen) ? chosen : first[0][0];
}

/**
 * A menu below a button.
 * @param {HTMLElement} anchor
 * @param {{ icon: string, label: string, run: () => void, danger?: boolean }[]} entries
 */
export function menu(anchor, entries) {
  const items = entries.map((entry) =>
    h(
      "button",
      {
        type: "button",
        role: "menuitem",
        class: entry.danger ? "danger" : null,
        onclick: () => (box.hidePopover(), entry.run()),
      },
      icon(entry.icon),
      entry.label,
    ),
  );
  // Popovers are younger than some type checkers.
  const box = /** @type {any} */ (h("div.menu", { popover: "auto", role: "menu" }, items));
  anchor.after(box);
  box.addEventListener("toggle", (/** @type {any} */ event) => {
    const open = event.newState === "open";
    set(anchor, "aria-expanded", String(open));
    if (!open) box.remove();
  });
  box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = items.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    items[(at + step + items.length) % items.length].focus();
  });
  box.showPopover();
  const place = anchor.getBoundingClientRect();
  box.style.left = `${Math.max(8, place.right - box.offsetWidth)}px`;
  box.style.top = `${Math.min(place.bottom + 4, innerHeight - box.offsetHeight - 8)}px`;
  items[0].focus();
}

/**
 * Asks before something that cannot be taken back.
 * @param {{ form: string, title: string, text: string, action: string }} question
 * @returns {Promise<boolean>}
 */
export function ask({ form, title, text, action }) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-label": title },
      h(
        "form",
        { method: "dialog", "data-form": form },
        h("h2", {}, title),
        h("p", {}, text),
        h("p.actions", {}, h("button", { value: "no" }, "Cancel"), h("button.danger", { value: "yes" }, action)),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
