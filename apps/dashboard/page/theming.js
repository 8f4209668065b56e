// @ts-check
// Automatic, light and dark; remembered.

import { redraw } from "./chart.js";
import { icon } from "./dom.js";

const THEMES = ["auto", "light", "dark"];

/** @param {HTMLElement} button */
export function themeButton(button) {
  const draw = () => {
    const theme = document.documentElement.dataset.theme ?? "auto";
    const label = `Theme: ${theme}`;
    button.setAttribute("aria-label", label);
    button.title = `${label} (t)`;
    button.replaceChildren(icon(theme));
    redraw();
  };
  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? "auto";
    choose(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  draw();
}

/** @param {string} theme */
function choose(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("guthi-theme", theme);
  } catch {
    // Without a store it is chosen for this visit.
  }
}
