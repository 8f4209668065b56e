// @ts-check
// Who sees whom: one row per observer, and in words where two disagree.

import { h, icon, list, say, set } from "./dom.js";
import { plural } from "./format.js";
import { nodeName, problem, problemBox, tag } from "./widgets.js";

/** @typedef {import("./contract").Sees} Sees */
/** @typedef {{ key: string, seen: boolean | null, text: string, odd: boolean }} Cell */

const MARKS = { true: "✓", false: "✗", null: "·" };

export class Matrix {
  constructor() {
    this.words = h("ul.disagreements", { "data-role": "disagreements" });
    this.summary = h("p.muted", {}, "asking the nodes …");
    this.head = h("tr", { role: "row" });
    this.body = h("tbody");
    this.table = h(
      "table.matrix",
      { "data-table": "sees" },
      h("caption.offscreen", {}, "Who sees whom: rows are observers"),
      h("thead", {}, this.head),
      this.body,
    );
    this.error = problemBox();
    this.frame = h(
      "div.frame.scroll",
      { tabindex: "0", role: "region", "aria-label": "Who sees whom, scrollable", hidden: true },
      this.table,
    );
    this.element = h(
      "section.sees",
      { "aria-labelledby": "sees-title" },
      h("h2", { id: "sees-title" }, "Who sees whom"),
      this.summary,
      this.words,
      this.error,
      this.frame,
    );
    /** @type {import("./stream.js").Reader} */
    this.reader = {
      snapshot: (sees) => this.set(sees),
      delta: ({ set }) => this.set(set),
      error: (failure) => problem(this.error, failure),
    };
  }

  /** @param {Sees} sees */
  set(sees) {
    problem(this.error, null);
    this.frame.hidden = sees.nodes.length < 2;
    this.#tell(sees);
    const odd = new Set(sees.disagreements.flatMap(({ a, b }) => [`${a} ${b}`, `${b} ${a}`]));
    const names = new Map(sees.nodes.map(({ id, name }) => [id, name]));
    list(this.head, [{ id: "", name: "" }, ...sees.nodes], {
      key: ({ id }) => id,
      make: ({ id, name }) =>
        id
          ? h("th", { scope: "col", title: name }, tag(id, name), h("span.offscreen", {}, name))
          : h("td", {}, h("span.muted", {}, "sees →")),
    });
    list(this.body, sees.rows, {
      key: ({ observer }) => observer,
      make: ({ observer }) =>
        h(
          "tr",
          { "data-id": observer },
          h("th", { scope: "row" }, nodeName({ id: observer, name: names.get(observer) ?? observer.slice(-8) })),
        ),
      update: (row, { observer, sees: seen }) => {
        const cells = seen.map((saw, at) => cell(sees.nodes[at], saw, observer, odd, names));
        list(row, [{ key: "", seen: null, text: "", odd: false }, ...cells], {
          key: ({ key }) => key,
          make: ({ key }) =>
            key ? h("td", { "data-column": key }) : /** @type {HTMLElement} */ (row.firstElementChild),
          update: (element, { key, seen: saw, text, odd: disagree }) => {
            if (!key) return;
            say(element, MARKS[/** @type {"null"} */ (String(saw))]);
            set(element, "class", `saw-${saw}${disagree ? " odd" : ""}`);
            set(element, "title", text);
            set(element, "aria-label", text);
          },
        });
      },
    });
  }

  /** @param {Sees} sees */
  #tell({ nodes, disagreements }) {
    const count = disagreements.length;
    say(
      this.summary,
      nodes.length < 2
        ? "As soon as there are two nodes, it stands here which of them hear each other."
        : count
          ? `${plural(count, "pair")} of nodes see${count === 1 ? "s" : ""} each other differently.`
          : "All nodes agree on who is there.",
    );
    list(this.words, disagreements, {
      key: ({ a, b, text }) => `${a} ${b} ${text}`,
      make: ({ text }) => h("li", {}, icon("suspected"), h("span", {}, text)),
    });
  }
}

/**
 * @param {import("./contract").Named} other @param {boolean | null} seen @param {string} observer
 * @param {Set<string>} odd @param {Map<string, string>} names
 * @returns {Cell}
 */
function cell(other, seen, observer, odd, names) {
  const [from, to] = [names.get(observer) ?? "?", other.name];
  const text =
    observer === other.id
      ? `${from} itself`
      : seen === null
        ? `${from} has not said whether it hears ${to}`
        : `${from} ${seen ? "hears" : "does not hear"} ${to}`;
  return { key: other.id, seen, text, odd: seen !== null && odd.has(`${observer} ${other.id}`) };
}
