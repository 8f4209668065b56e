// @ts-check
// Screen: what happens to nodes, the newest first.

import { announce, h, icon, list, say, set } from "./dom.js";
import { clock, exact } from "./format.js";
import { Table } from "./table.js";
import { nodeName, nodeOptions, problem, problemBox } from "./widgets.js";
import { onWorld } from "./world.js";

/** @typedef {import("./contract").Happening} Happening */

const KEPT = 1000;
/**
 * Which icon and colour an event has, by what it does to a node.
 * @type {Record<string, string>}
 */
const LOOKS = {
  joined: "alive",
  recovered: "alive",
  trusted: "alive",
  connected: "alive",
  suspected: "suspected",
  isolated: "suspected",
  missed: "suspected",
  failed: "failed",
  excluded: "failed",
  left: "left",
};
const GRAVE = ["failed", "isolated", "excluded"];

/** @type {Happening[]} */
let all = [];
/** What has come since it was paused. */
let waiting = 0;
let paused = false;
/** The newest that is shown while it is paused. */
let frozen = Infinity;

const kind = h("select", { name: "kind" });
const node = h("select", { name: "node" });
const fresh = h("button.fresh", { type: "button", hidden: true, "data-role": "fresh", onclick: () => pause(false) });
const pauseButton = h(
  "button",
  { type: "button", "data-role": "pause", "aria-pressed": "false", onclick: () => pause() },
  icon("pause"),
  h("span", {}, "Pause"),
);
const error = problemBox();
const none = h(
  "div.teach",
  { hidden: true },
  h("h2", {}, "Nothing has happened yet"),
  h(
    "p",
    {},
    "When a node joins, is suspected, fails or leaves, it stands here at once, with the reason. Try it: start a second node, and end it with ",
  ),
  h("pre", {}, "kill -9 <pid>"),
);
/** @type {Table<Happening>} */
const table = new Table({
  name: "events",
  caption: "Events, the newest first",
  id: ({ seq }) => String(seq),
  columns: [
    {
      key: "at",
      label: "Time",
      text: ({ at }) => clock(at, true),
      title: ({ at }) => exact(at),
      sort: ({ seq }) => seq,
    },
    { key: "event", label: "Event", text: ({ event }) => event, paint: paintEvent },
    {
      key: "node",
      label: "Node",
      text: (happening) => happening.node?.name ?? "–",
      title: (happening) => happening.node?.id ?? "",
      paint: paintNode,
    },
    { key: "text", label: "What", header: true, text: ({ text }) => text },
  ],
});

/** @type {import("./main.js").Screen} */
export const screen = {
  element: h(
    "section",
    { "aria-label": "Events" },
    error,
    h(
      "div.bar",
      {},
      h("label", {}, h("span", {}, "Kind"), kind),
      h("label", {}, h("span", {}, "Node"), node),
      pauseButton,
      fresh,
    ),
    none,
    table.frame,
  ),
  show: (stream, detail) => {
    nodeOptions(node, [["", "all nodes"]]);
    if (detail) node.value = detail;
    stream.subscribe("events", {
      snapshot: ({ items }) => {
        all = items;
        draw();
      },
      delta: ({ append }) => {
        all = [...all, ...append].slice(-KEPT);
        if (paused) waiting += append.length;
        for (const { event, text } of append) if (GRAVE.includes(event)) announce(text);
        draw();
      },
      error: (failure) => problem(error, failure),
    });
    filter();
  },
  hide: (stream) => stream.unsubscribe("events"),
  search: (words) => table.search(words),
  pause,
};

kind.addEventListener("change", filter);
node.addEventListener("change", filter);
onWorld(() => screen.element.isConnected && nodeOptions(node, [["", "all nodes"]]));

function filter() {
  table.pick(
    (happening) =>
      (!kind.value || happening.event === kind.value) && (!node.value || happening.node?.id === node.value),
  );
}

function draw() {
  problem(error, null);
  const kinds = [...new Set(all.map(({ event }) => event))].sort();
  list(kind, ["", ...kinds], { key: String, make: (name) => h("option", { value: name }, name || "all kinds") });
  none.hidden = all.length > 0;
  table.frame.hidden = all.length === 0;
  fresh.hidden = !waiting;
  say(fresh, `↑ ${waiting} new`);
  table.set(all.filter(({ seq }) => seq <= frozen).reverse());
}

function pause(now = !paused) {
  paused = now;
  waiting = 0;
  frozen = paused ? (all[all.length - 1]?.seq ?? 0) : Infinity;
  set(pauseButton, "aria-pressed", String(paused));
  pauseButton.replaceChildren(icon(paused ? "play" : "pause"), h("span", {}, paused ? "Go on" : "Pause"));
  draw();
}

/** @param {HTMLElement} cell @param {Happening} happening */
function paintEvent(cell, { event }) {
  const look = LOOKS[event] ?? "info";
  cell.replaceChildren(h("span", { class: `status is-${look}` }, icon(look), event.replaceAll("_", " ")));
}

/** @param {HTMLElement} cell @param {Happening} happening */
function paintNode(cell, happening) {
  cell.replaceChildren(happening.node ? nodeName(happening.node) : "–");
}
