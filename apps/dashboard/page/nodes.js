// @ts-check
// Screen: who there is, how they are, and a form to connect to more.

import { failureOf, post } from "./api.js";
import { announce, copy, copyButton, h, icon, say, set } from "./dom.js";
import { ago, exact, milliseconds, percent, plural } from "./format.js";
import { Matrix } from "./matrix.js";
import { Table } from "./table.js";
import { ask, choice, menu, meter, problem, problemBox, sparkline, statusBadge, tag } from "./widgets.js";
import { onWorld, world } from "./world.js";

/** @typedef {import("./contract").Node} GuthiNode */

/** @type {Record<string, string[]>} */
const FILTERS = {
  all: ["joining", "alive", "suspected", "failed", "left"],
  alive: ["joining", "alive"],
  failed: ["suspected", "failed"],
  left: ["left"],
};

/**
 * What was measured last at a node that is gone is no news.
 * @template {"rtt_ms" | "cpu" | "memory"} K
 * @param {GuthiNode} node
 * @param {K} what
 */
const measured = (node, what) => (node.status === "failed" || node.status === "left" ? null : node[what]);

/** @type {import("./table.js").Column<GuthiNode>[]} */
const columns = [
  { key: "name", label: "Name", header: true, text: (node) => node.name, paint: paintName },
  { key: "id", label: "ID", text: (node) => node.short, title: (node) => node.id, paint: paintId },
  { key: "ip", label: "IP address", text: (node) => node.ip ?? "–", title: (node) => node.addresses.join("\n") },
  { key: "port", label: "Port", number: true, text: (node) => String(node.port ?? "–"), sort: (node) => node.port },
  { key: "zone", label: "Zone", text: (node) => node.zone ?? "–" },
  {
    key: "status",
    label: "Status",
    text: (node) => node.status,
    title: (node) => node.reason ?? "",
    paint: (cell, node) => cell.replaceChildren(statusBadge(node.status)),
  },
  {
    key: "rtt",
    label: "RTT",
    number: true,
    text: (node) => milliseconds(measured(node, "rtt_ms")),
    sort: (node) => measured(node, "rtt_ms"),
    paint: paintTrips,
  },
  metered("cpu", "CPU"),
  metered("memory", "Memory"),
  {
    key: "since",
    label: "Since",
    text: (node) => ago(node.since),
    title: (node) => exact(node.since),
    sort: (node) => Date.parse(node.since),
  },
  { key: "version", label: "Version", text: (node) => node.version ?? "–" },
  { key: "reason", label: "Reason", text: (node) => node.reason ?? "", title: (node) => node.reason ?? "" },
  { key: "menu", label: "Actions", bare: true, text: () => " ", paint: paintMenu },
];

/**
 * @param {"cpu" | "memory"} key
 * @param {string} label
 * @returns {import("./table.js").Column<GuthiNode>}
 */
function metered(key, label) {
  const value = (/** @type {GuthiNode} */ node) => measured(node, key);
  return {
    key,
    label,
    number: true,
    text: (node) => percent(value(node)),
    sort: value,
    paint: (cell, node) => cell.replaceChildren(meter(percent(value(node)), value(node))),
  };
}

const table = new Table({
  name: "nodes",
  caption: "Nodes",
  columns,
  id: (node) => node.id,
  dress: (row, node) => {
    set(row, "data-status", node.status);
    set(row, "data-self", node.self);
  },
});
const matrix = new Matrix();
const alone = h(
  "div.teach",
  { hidden: true },
  h("h2", {}, "Nobody else yet"),
  h(
    "p",
    {},
    "Start a second node in another terminal. Nodes of one cluster on one machine find each other by themselves:",
  ),
  h("pre", {}, "guthi node start --name ben"),
  h(
    "p",
    {},
    "Nodes on other machines are reached by address: type it above, or give them the ticket from ",
    h("a", { href: "#self" }, "Self"),
    ".",
  ),
);
const filter = choice(
  "Status of the nodes",
  Object.keys(FILTERS).map((name) => [name, name[0].toUpperCase() + name.slice(1)]),
  (name) => table.pick((node) => FILTERS[name].includes(node.status)),
);

/** @type {import("./main.js").Screen} */
export const screen = {
  element: h(
    "section",
    { "aria-label": "Nodes" },
    h("div.bar", {}, connectForm(), filter),
    table.frame,
    alone,
    matrix.element,
  ),
  show: (stream) => {
    draw();
    stream.subscribe("sees", matrix.reader);
  },
  hide: (stream) => stream.unsubscribe("sees"),
  search: (words) => table.search(words),
  tick: draw,
};

onWorld(() => screen.element.isConnected && draw());

function draw() {
  const nodes = [...world.nodes.values()];
  table.set(nodes);
  alone.hidden = nodes.length !== 1;
  for (const button of filter.querySelectorAll("button")) {
    const name = button.dataset.value ?? "all";
    say(
      button,
      `${name[0].toUpperCase()}${name.slice(1)} ${nodes.filter((node) => FILTERS[name].includes(node.status)).length}`,
    );
  }
}

/** @param {HTMLElement} cell @param {GuthiNode} node */
function paintName(cell, node) {
  const badge = node.self && h("span.badge", {}, "this node");
  cell.replaceChildren(
    h("span.node", {}, tag(node.id, node.name), h("span.name", { title: node.name }, node.name), badge || ""),
  );
}

/** @param {HTMLElement} cell @param {GuthiNode} node */
function paintId(cell, node) {
  cell.replaceChildren(copyButton(() => node.id, `Copy the whole ID of ${node.name}`, h("code", {}, node.short)));
}

/** @param {HTMLElement} cell @param {GuthiNode} node */
function paintTrips(cell, node) {
  const [trips, now] = [world.trips.get(node.id) ?? [], measured(node, "rtt_ms")];
  cell.replaceChildren(trips.length > 2 && now != null ? sparkline(trips) : "", milliseconds(now));
}

/** @param {HTMLElement} cell @param {GuthiNode} node */
function paintMenu(cell, node) {
  const button = h(
    "button.plain",
    { type: "button", "aria-label": `Actions on ${node.name}`, "aria-haspopup": "menu" },
    icon("more"),
  );
  button.addEventListener("click", () =>
    menu(button, [
      { icon: "logs", label: "Show its last logs", run: () => (location.hash = `logs/${node.id}`) },
      { icon: "events", label: "Show its events", run: () => (location.hash = `events/${node.id}`) },
      {
        icon: "copy",
        label: "Copy its addresses",
        run: () => void copy(node.addresses.join("\n")).then(() => announce("copied")),
      },
      ...(node.self ? [] : [{ icon: "ban", label: "Forget…", danger: true, run: () => forget(node) }]),
    ]),
  );
  cell.replaceChildren(button);
}

const forgetting = problemBox();

/** @param {GuthiNode} node */
async function forget(node) {
  const text = `${node.name} (${node.short}) is banned by all nodes of the cluster: they close their links to it, and it cannot come back under this ID.`;
  if (!(await ask({ form: "forget", title: `Forget ${node.name}?`, text, action: "Forget" }))) return;
  try {
    await post(`/nodes/${encodeURIComponent(node.id)}/forget`, {});
    announce(`${node.name} is forgotten`);
    problem(forgetting, null);
  } catch (error) {
    table.frame.before(forgetting);
    problem(forgetting, failureOf(error), true);
  }
}

function connectForm() {
  const address = h("input", {
    name: "address",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "10.0.0.5 or guthi1node…",
    class: "wide",
  });
  const port = h("input", {
    name: "port",
    inputmode: "numeric",
    pattern: "[0-9]{1,5}",
    placeholder: "6969",
    class: "short",
    autocomplete: "off",
    title: "A number up to 65535",
  });
  const button = h("button.primary", {}, "Connect");
  const error = problemBox();
  const result = h("p.result", { "data-role": "result", role: "status", hidden: true });
  const form = h(
    "form.connect",
    { "data-form": "connect" },
    h("label", {}, h("span", {}, "IP address, or a ticket"), address),
    h("label", {}, h("span", {}, "Port"), port),
    button,
    result,
    error,
  );
  address.addEventListener("input", () => (port.disabled = isWhole(address.value.trim())));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    [button.disabled, result.hidden] = [true, true];
    problem(error, null);
    say(button, "Connecting…");
    try {
      const { node } = await post("/nodes/connect", { address: whole(address.value.trim(), port.value.trim()) });
      result.replaceChildren(icon("check"), `connected to ${node.name} (${node.short})`);
      result.hidden = false;
      form.reset();
      port.disabled = false;
    } catch (failure) {
      problem(error, failureOf(failure));
    }
    say(button, "Connect");
    button.disabled = false;
  });
  return form;
}

/**
 * Whether it says where to connect without a port beside it.
 * @param {string} text
 */
const isWhole = (text) => /^guthi1|^\/|^\[.*\]:\d+$|^[^:]+:\d+$/.test(text);

/** @param {string} address @param {string} port */
function whole(address, port) {
  if (isWhole(address)) return address;
  const bare = address.includes(":") && !address.startsWith("[") ? `[${address}]` : address;
  return `${bare}:${port || "6969"}`;
}

/**
 * What the head of the page says: `5 alive · 1 failed`.
 * @param {{ status: string, count: number }[]} counts
 */
export const counted = (counts) =>
  counts.map(({ status, count }) => `${count} ${status}`).join(" · ") || plural(0, "node");
