// @ts-check
// Screen: memory and CPU of all nodes, as a table and over time.

import { failureOf, get } from "./api.js";
import { copyButton, h, icon, list, say, set } from "./dom.js";
import { bytes, percent, plural } from "./format.js";
import { Bands, NodeGraphs, Record } from "./graphs.js";
import { Table } from "./table.js";
import { choice, meter, problem, problemBox, tag } from "./widgets.js";
import { world } from "./world.js";

/** @typedef {import("./contract").Resources} Resources */

/** More nodes than these are shown as bands, and singly where chosen. */
const SINGLE_MAX = 32;

/** @type {Map<string, Resources>} */
let items = new Map();
/** @type {Map<string, Record>} */
const records = new Map();
/** @type {Map<string, NodeGraphs>} */
const graphs = new Map();
/** @type {Set<string>} */
const chosen = new Set();
let span = 60_000;
let now = Date.now();
let paused = false;

/** @type {import("./table.js").Column<Resources>[]} */
const columns = [
  { key: "id", label: "ID", text: ({ node }) => node.slice(-8), title: ({ node }) => node, paint: paintId },
  {
    key: "name",
    label: "Name",
    header: true,
    text: ({ name, node }) => (chosen.has(node) ? `${name} ✓` : name),
    sort: ({ name }) => name,
    paint: paintName,
  },
  {
    key: "address",
    label: "Address",
    text: (item) => item.error?.message ?? item.address,
    title: (item) => item.error?.next ?? item.os ?? "",
  },
  {
    key: "installed",
    label: "Installed",
    number: true,
    text: (item) => bytes(item.installed_bytes),
    sort: (item) => item.installed_bytes ?? null,
  },
  {
    key: "available",
    label: "Available",
    number: true,
    text: (item) => bytes(item.available_bytes),
    sort: (item) => item.available_bytes ?? null,
  },
  {
    key: "memory_load",
    label: "Memory_Load",
    number: true,
    text: (item) => percent(item.memory_load),
    sort: (item) => item.memory_load ?? null,
    paint: (cell, item) => cell.replaceChildren(meter(percent(item.memory_load), item.memory_load ?? null)),
  },
  {
    key: "cpu_usage",
    label: "CPU_Usage",
    number: true,
    text: (item) => percent(item.cpu_usage),
    sort: (item) => item.cpu_usage ?? null,
    paint: (cell, item) => cell.replaceChildren(meter(percent(item.cpu_usage), item.cpu_usage ?? null)),
  },
];

const table = new Table({
  name: "resources",
  caption: "Memory and CPU of all nodes",
  columns,
  id: ({ node }) => node,
  dress: (row, { error }) => set(row, "data-status", error ? "suspected" : "alive"),
});
const bands = new Bands();
const grid = h("div.graphs");
const hint = h("p.muted");
const error = problemBox();
const pauseButton = h(
  "button",
  { type: "button", "data-role": "pause", "aria-pressed": "false", onclick: () => pause() },
  icon("pause"),
  h("span", {}, "Pause"),
);
const spans = choice(
  "Time that is shown",
  [
    ["60000", "1 min"],
    ["300000", "5 min"],
    ["900000", "15 min"],
  ],
  (value) => {
    span = Number(value);
    drawGraphs();
  },
  String(span),
);

/** @type {import("./main.js").Screen} */
export const screen = {
  element: h(
    "section",
    { "aria-label": "Resources" },
    error,
    h("div.bar", {}, hint, spans, pauseButton),
    bands.element,
    grid,
    table.frame,
  ),
  show: (stream) =>
    stream.subscribe("resources", {
      snapshot: ({ items: all, history }) => {
        items = new Map(all.map((/** @type {Resources} */ item) => [item.node, item]));
        for (const [node, samples] of Object.entries(history ?? {}))
          for (const sample of samples) record(node).push(sample);
        bands.remember(Object.values(history ?? {}).flat());
        pushed(Date.now(), all);
      },
      delta: ({ put, at_ms }) => {
        for (const item of put) items.set(item.node, item);
        pushed(at_ms, put);
      },
      error: (failure) => problem(error, failure),
    }),
  hide: (stream) => stream.unsubscribe("resources"),
  search: (words) => table.search(words),
  pause,
};

/** @param {number} at @param {Resources[]} put */
function pushed(at, put) {
  problem(error, null);
  for (const { node, cpu_usage, memory_load, calls, error: none } of put) {
    if (!none) record(node).push([at, cpu_usage, memory_load, calls]);
  }
  // A node that nobody knows any more needs no memory here.
  for (const id of records.keys()) {
    if (!world.nodes.size || world.nodes.has(id)) continue;
    items.delete(id);
    records.delete(id);
  }
  bands.push(at, [...items.values()]);
  if (paused) return;
  now = at;
  table.set([...items.values()]);
  drawGraphs();
}

/** @param {string} node */
function record(node) {
  const known = records.get(node);
  if (known) return known;
  const made = new Record();
  records.set(node, made);
  return made;
}

function drawGraphs() {
  const all = [...items.values()].filter((item) => !item.error);
  const many = all.length > SINGLE_MAX;
  const single = many ? all.filter(({ node }) => chosen.has(node)) : all;
  bands.show(many, now, span);
  say(
    hint,
    items.size === 0
      ? "asking the nodes …"
      : many
        ? `${plural(all.length, "node")}: half of them lie in the bands, the line is the median. A name below shows that node alone.`
        : `${plural(all.length, "node")}, sampled once a second while this page is looked at.`,
  );
  const wanted = new Set(single.map(({ node }) => node));
  for (const [node, one] of graphs) {
    if (wanted.has(node)) continue;
    one.remove();
    graphs.delete(node);
  }
  list(grid, single, {
    key: ({ node }) => node,
    make: ({ node, name }) => {
      const one = new NodeGraphs(node, name, world.nodes.get(node)?.colour ?? 0);
      graphs.set(node, one);
      return one.element;
    },
    update: (_, { node }) => graphs.get(node)?.show(record(node), now, span),
  });
}

function pause() {
  paused = !paused;
  set(pauseButton, "aria-pressed", String(paused));
  pauseButton.replaceChildren(icon(paused ? "play" : "pause"), h("span", {}, paused ? "Go on" : "Pause"));
}

/** @param {HTMLElement} cell @param {Resources} item */
function paintId(cell, { node, name }) {
  cell.replaceChildren(copyButton(() => node, `Copy the whole ID of ${name}`, h("code", {}, node.slice(-8))));
}

/** @param {HTMLElement} cell @param {Resources} item */
function paintName(cell, { node, name }) {
  const button = h(
    "button.link",
    { type: "button", "aria-pressed": String(chosen.has(node)), onclick: () => choose(node) },
    tag(node, name),
    h("span.name", {}, name),
  );
  cell.replaceChildren(button);
}

/**
 * Shows a node alone, with what is known of its past.
 * @param {string} node
 */
async function choose(node) {
  if (items.size <= SINGLE_MAX) {
    graphs.get(node)?.element.scrollIntoView({ block: "center" });
    return;
  }
  if (!chosen.delete(node)) chosen.add(node);
  table.draw();
  try {
    const { items: past } = await get(`/resources/history?node=${encodeURIComponent(node)}&seconds=900`);
    record(node).prepend(past.map((/** @type {any} */ one) => [one.at_ms, one.cpu, one.memory, one.calls]));
  } catch (failure) {
    problem(error, failureOf(failure));
  }
  drawGraphs();
}
