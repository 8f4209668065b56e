// @ts-check
// Screen: the functions that nodes run, and a form to try one.

import { CallForm } from "./call.js";
import { h, say, set } from "./dom.js";
import { milliseconds, number, plural } from "./format.js";
import { Table } from "./table.js";
import { problem, problemBox, prose, tag } from "./widgets.js";
import { onWorld, world } from "./world.js";

/** @typedef {import("./contract").Func} Func */

/** @type {Map<string, Func>} */
let functions = new Map();

/** @type {import("./table.js").Column<Func>[]} */
const columns = [
  { key: "name", label: "Name", header: true, text: ({ name }) => name, paint: paintName },
  {
    key: "signature",
    label: "Signature",
    text: ({ signature }) => signature,
    title: ({ signature }) => signature,
    paint: (cell, { signature }) => cell.replaceChildren(h("code", {}, signature)),
  },
  {
    key: "docs",
    label: "Docs",
    text: ({ docs }) => docs.split("\n")[0] || "–",
    title: ({ docs }) => docs,
    paint: (cell, { docs }) => cell.replaceChildren(...prose(docs.split("\n")[0] || "–")),
  },
  {
    key: "nodes",
    label: "Nodes",
    text: ({ nodes }) => `${nodes.length} ${nodes.map(nameOf).join(" ")}`,
    sort: ({ nodes }) => nodes.length,
    title: ({ nodes }) => nodes.map(nameOf).join(", "),
    paint: paintNodes,
  },
  {
    key: "calls",
    label: "Calls",
    number: true,
    text: ({ calls }) => number(calls?.count),
    sort: ({ calls }) => calls?.count ?? null,
    title: () => "made by this node",
  },
  {
    key: "p50",
    label: "p50",
    number: true,
    text: ({ calls }) => milliseconds(calls?.p50_ms),
    sort: ({ calls }) => calls?.p50_ms ?? null,
  },
  {
    key: "p95",
    label: "p95",
    number: true,
    text: ({ calls }) => milliseconds(calls?.p95_ms),
    sort: ({ calls }) => calls?.p95_ms ?? null,
  },
  {
    key: "errors",
    label: "Errors",
    number: true,
    text: ({ calls }) => number(calls?.errors),
    sort: ({ calls }) => calls?.errors ?? null,
    paint: paintErrors,
  },
];

/** @type {CallForm} */
const form = new CallForm(() => table.draw());
/** @type {Table<Func>} */
const table = new Table({
  name: "functions",
  caption: "Functions",
  columns,
  id: ({ name }) => name,
  dress: (row, { name }) => set(row, "aria-current", form.name === name ? "true" : null),
});
const error = problemBox();
const summary = h("p.muted");
const none = h(
  "div.teach",
  { hidden: true },
  h("h2", {}, "No functions yet"),
  h("p", {}, "Any Rust function becomes callable from every node with one line above it:"),
  h(
    "pre",
    {},
    `/// Adds two numbers.
#[guthi::function]
fn add(a: f64, b: f64) -> f64 {
    a + b
}
`,
  ),
  h(
    "p",
    {},
    "Start a program that has it, on this machine: it appears here, with a form to try it. Or try the ones that come along:",
  ),
  h("pre", {}, "cargo run -p guthi --example hello"),
);
const split = h("div.split", {}, h("div", {}, summary, table.frame), form.element);

/** @type {import("./main.js").Screen} */
export const screen = {
  element: h("section", { "aria-label": "Functions" }, error, none, split),
  show: (stream, detail) => {
    form.wanted = detail;
    stream.subscribe("functions", {
      snapshot: ({ items }) => {
        functions = new Map(items.map((/** @type {Func} */ item) => [item.name, item]));
        draw();
      },
      delta: ({ put = [], drop = [] }) => {
        for (const item of put) functions.set(item.name, item);
        for (const name of drop) functions.delete(name);
        draw();
      },
      error: (failure) => problem(error, failure),
    });
  },
  hide: (stream) => stream.unsubscribe("functions"),
  search: (words) => table.search(words),
};

onWorld(() => screen.element.isConnected && form.nodesChanged());

function draw() {
  problem(error, null);
  const items = [...functions.values()].sort((a, b) => a.name.localeCompare(b.name));
  none.hidden = items.length > 0;
  split.hidden = items.length === 0;
  say(summary, `${plural(items.length, "function")}. Calls and times are those of calls made by this node.`);
  form.set(items);
  table.set(items);
}

/** @param {string} id */
const nameOf = (id) => world.nodes.get(id)?.name ?? id.slice(-8);

/** @param {HTMLElement} cell @param {Func} item */
function paintName(cell, { name, once }) {
  const badge = once && h("span.badge", { title: "Never tried a second time after an unknown outcome" }, "once");
  cell.replaceChildren(
    h("button.link", { type: "button", onclick: () => form.choose(name, true) }, h("code", {}, name)),
    badge || "",
  );
}

const TAGS_MAX = 4;

/** @param {HTMLElement} cell @param {Func} item */
function paintNodes(cell, { nodes }) {
  const rest = nodes.length - TAGS_MAX;
  cell.replaceChildren(
    h(
      "span.tags",
      {},
      h("span.offscreen", {}, plural(nodes.length, "node")),
      nodes.slice(0, TAGS_MAX).map((id) => tag(id, nameOf(id))),
      rest > 0 && h("span.muted", {}, `+${rest}`),
    ),
  );
}

/** @param {HTMLElement} cell @param {Func} item */
function paintErrors(cell, { calls }) {
  cell.replaceChildren(h("span", { class: calls?.errors ? "is-failed" : null }, number(calls?.errors)));
}
