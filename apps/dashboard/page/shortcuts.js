// @ts-check
// Keys: `g` and a letter go to a screen, `/` searches, `?` shows them all.

import { byId, h } from "./dom.js";

/** @typedef {{ screens: string[], search: HTMLInputElement, pause: () => void }} Page */

/**
 * The second key of those whose first letter is another one's.
 * @type {Record<string, string>}
 */
const LETTERS = { locks: "k" };

/** @param {string} screen */
const letter = (screen) => LETTERS[screen] ?? screen[0];

/** How long the second key of two may take. */
const PATIENCE = 1200;

/** @param {Page} page */
export function keys(page) {
  let went = 0;
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target instanceof Element && event.target.closest("input, textarea, select");
    if (event.key === "Escape" && event.target === page.search) leave(page.search);
    if (typing) return;
    const screen = page.screens.find((name) => letter(name) === event.key);
    if (screen && Date.now() - went < PATIENCE) location.hash = screen;
    else if (event.key === "/") page.search.focus();
    else if (event.key === "?") help(page);
    else if (event.key === "t") byId("theme").click();
    else if (event.key === "p") page.pause();
    else {
      if (event.key === "g") went = Date.now();
      return;
    }
    went = 0;
    event.preventDefault();
  });
  byId("help").addEventListener("click", () => help(page));
}

/** @param {HTMLInputElement} search */
function leave(search) {
  search.value = "";
  search.dispatchEvent(new Event("input"));
  search.blur();
}

/** @param {Page} page */
function help({ screens }) {
  const rows = [
    ...screens.map((name) => [`g ${letter(name)}`, name[0].toUpperCase() + name.slice(1)]),
    ["/", "Filter what is shown; Esc ends it"],
    ["p", "Pause and go on: graphs, events, logs"],
    ["t", "Theme: automatic, light, dark"],
    ["Ctrl Enter", "Call, in the form of a function"],
    ["?", "This list"],
  ];
  const dialog = h(
    "dialog.shortcuts",
    { "aria-labelledby": "shortcuts-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "shortcuts-title" }, "Keys"),
      h(
        "dl",
        {},
        rows.map(([key, does]) =>
          h(
            "div",
            {},
            h(
              "dt",
              {},
              key.split(" ").map((part) => h("kbd", {}, part)),
            ),
            h("dd", {}, does),
          ),
        ),
      ),
      h("p.actions", {}, h("button.primary", {}, "Close")),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
