// @ts-check
// The graphs of one node, and the bands of many.

import { Chart, Ring } from "./chart.js";
import { h, icon, list, set } from "./dom.js";
import { clock, number, percent } from "./format.js";
import { tag } from "./widgets.js";

/** @typedef {import("./contract").Sample} Sample */
/** @typedef {import("./contract").Resources} Resources */

/** @type {{ key: "cpu" | "memory" | "calls", label: string, format: (value: number) => string, top?: number }[]} */
const METRICS = [
  { key: "cpu", label: "CPU", format: percent, top: 100 },
  { key: "memory", label: "Memory", format: percent, top: 100 },
  { key: "calls", label: "Calls", format: (value) => number(value) },
];

/** What was measured at one node. */
export class Record {
  cpu = new Ring();
  memory = new Ring();
  calls = new Ring();

  /** @param {Sample} sample */
  push([at, cpu, memory, calls]) {
    this.cpu.push(at, cpu);
    this.memory.push(at, memory);
    this.calls.push(at, calls);
  }

  /**
   * What was before all that is known here.
   * @param {Sample[]} past
   */
  prepend(past) {
    /** @type {Sample[]} */
    const known = [];
    this.cpu.since(0, (at, cpu) => known.push([at, cpu, this.memory.near(at), this.calls.near(at)]));
    const first = known[0]?.[0] ?? Infinity;
    Object.assign(this, new Record());
    for (const sample of past) if (sample[0] < first) this.push(sample);
    for (const sample of known) this.push(sample);
  }
}

const ROWS = 10;

export class NodeGraphs {
  #open = false;

  /** @param {string} node @param {string} name @param {number} colour */
  constructor(node, name, colour) {
    this.charts = METRICS.map(({ label, format, top }) => new Chart({ label, format, top, of: name }));
    this.rows = h("tbody");
    this.table = h(
      "table",
      { hidden: true },
      h("caption.offscreen", {}, `Values of ${name}`),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "At"),
          METRICS.map(({ label }) => h("th.number", { scope: "col" }, label)),
        ),
      ),
      this.rows,
    );
    const button = h(
      "button.plain",
      { type: "button", "aria-pressed": "false", "aria-label": `View ${name} as a table`, title: "View as table" },
      icon("table"),
    );
    button.addEventListener("click", () => {
      this.#open = !this.#open;
      set(button, "aria-pressed", String(this.#open));
      this.table.hidden = !this.#open;
      for (const { element } of this.charts) element.hidden = this.#open;
      this.#fill();
    });
    this.element = h(
      "article.card",
      { class: `card colour-${colour}`, "data-chart": node, "aria-label": name },
      h("header", {}, h("h3", {}, tag(node, name), h("span.name", { title: name }, name)), button),
      this.charts.map(({ element }) => element),
      this.table,
    );
  }

  remove() {
    for (const chart of this.charts) chart.remove();
  }

  /** @param {Record} record @param {number} now @param {number} span */
  show(record, now, span) {
    this.shown = { record, now, span };
    this.charts.forEach((chart, at) => chart.show([record[METRICS[at].key]], now, span));
    this.#fill();
  }

  /** Some moments, evenly spaced. */
  #fill() {
    if (!this.#open || !this.shown) return;
    const { record, now, span } = this.shown;
    const step = span / ROWS;
    const moments = Array.from({ length: ROWS }, (_, at) => Math.floor(now / step) * step - at * step);
    list(this.rows, moments, {
      key: String,
      make: (at) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, clock(at)),
          METRICS.map(({ key, format }) => {
            const value = record[key].near(at);
            return h("td.number", {}, Number.isNaN(value) ? "–" : format(value));
          }),
        ),
    });
  }
}

/** Many nodes in one picture: from the quarter of them that is lowest to the highest quarter, and the middle. */
export class Bands {
  constructor() {
    this.kinds = METRICS.map(({ label, format, top }) => ({
      rings: [new Ring(), new Ring(), new Ring()],
      chart: new Chart({ label, format, top, of: "all nodes, the median" }),
    }));
    this.element = h(
      "article.card.bands",
      { hidden: true, "aria-label": "All nodes", "data-chart": "all" },
      this.kinds.map(({ chart }) => chart.element),
    );
  }

  /** @param {number} at @param {Resources[]} items */
  push(at, items) {
    this.#sample(
      at,
      items.map(({ cpu_usage, memory_load, calls }) => [at, cpu_usage, memory_load, calls]),
    );
  }

  /**
   * What was before this page came.
   * @param {Sample[]} history of all nodes
   */
  remember(history) {
    /** @type {Map<number, Sample[]>} */
    const seconds = new Map();
    for (const sample of history) {
      const second = Math.round(sample[0] / 1000) * 1000;
      const together = seconds.get(second);
      if (together) together.push(sample);
      else seconds.set(second, [sample]);
    }
    for (const [second, samples] of [...seconds].sort(([a], [b]) => a - b)) this.#sample(second, samples);
  }

  /** @param {number} at @param {Sample[]} samples one of each node */
  #sample(at, samples) {
    this.kinds.forEach(({ rings }, kind) => {
      const values = samples.flatMap((sample) => sample[kind + 1] ?? []).sort((a, b) => a - b);
      [0.25, 0.75, 0.5].forEach((share, index) =>
        rings[index].push(at, values[Math.floor(share * (values.length - 1))]),
      );
    });
  }

  /** @param {boolean} shown @param {number} now @param {number} span */
  show(shown, now, span) {
    this.element.hidden = !shown;
    if (shown) for (const { chart, rings } of this.kinds) chart.show(rings, now, span);
  }
}
