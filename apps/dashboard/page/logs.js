// @ts-check
// Screen: the last log lines of one node or of all, as they come.

import { h, list, say, set } from "./dom.js";
import { clock, exact } from "./format.js";
import { nodeOptions, tag } from "./widgets.js";
import { onWorld } from "./world.js";

/** @typedef {import("./contract").Line} Line */
/** @typedef {import("./stream.js").Stream} Stream */

const KEPT = 2000;
const LEVELS = ["error", "warn", "info", "debug", "trace"];

/** @type {Line[]} */
let all = [];
/** @type {{ node: string, name: string, error: import("./contract").Failure }[]} */
let errors = [];
/** @type {Stream | null} */
let stream = null;
let topic = "";
let words = "";

const node = h("select", { name: "node" });
const level = h(
  "select",
  { name: "level" },
  LEVELS.map((name) => h("option", { value: name }, name === "error" ? name : `${name} and graver`)),
);
level.value = "info";
const text = h("input", {
  type: "search",
  name: "contains",
  placeholder: "Text",
  autocomplete: "off",
  spellcheck: "false",
});
const follow = h("input", { type: "checkbox", name: "follow", checked: true });
const notes = h("ul.notes", { "data-role": "error" });
const lines = h("ol.lines", { "data-list": "logs" });
const frame = h(
  "div.frame.scroll.log",
  { tabindex: "0", role: "log", "aria-label": "Log lines", "aria-live": "off" },
  lines,
);
const none = h(
  "div.teach",
  { hidden: true },
  h("h2", {}, "No lines"),
  h("p", {}, "A program keeps its last lines for this page once it is told to:"),
  h(
    "pre",
    {},
    `let logs = guthi::Logs::new(10_000);
tracing_subscriber::registry().with(logs.layer()).init();
let node = Node::builder().logs(logs).start().await?;`,
  ),
);
const empty = h("p.nothing", { hidden: true }, "No line matches.");

/** @type {import("./main.js").Screen} */
export const screen = {
  element: h(
    "section.logs",
    { "aria-label": "Logs" },
    h(
      "div.bar",
      {},
      h("label", {}, h("span", {}, "Node"), node),
      h("label", {}, h("span", {}, "Level"), level),
      h("label", {}, h("span", {}, "Text"), text),
      h("label.check", {}, follow, h("span", {}, "Follow")),
    ),
    notes,
    none,
    empty,
    frame,
  ),
  show: (now, detail) => {
    stream = now;
    nodeOptions(node, [["all", "all nodes"]]);
    if (detail) node.value = detail;
    subscribe();
  },
  hide: (now) => now.unsubscribe(topic),
  search: (now) => {
    words = now;
    draw();
  },
  pause: () => follow.click(),
};

node.addEventListener("change", subscribe);
level.addEventListener("change", subscribe);
text.addEventListener("input", draw);
follow.addEventListener("change", draw);
// Who scrolls up wants to read.
frame.addEventListener("wheel", (event) => event.deltaY < 0 && (follow.checked = false), { passive: true });
frame.addEventListener("scroll", () => {
  if (frame.scrollHeight - frame.scrollTop - frame.clientHeight < 4 && !follow.checked) follow.checked = true;
});
onWorld(() => screen.element.isConnected && nodeOptions(node, [["all", "all nodes"]]));

function subscribe() {
  stream?.unsubscribe(topic);
  topic = `log:${node.value || "all"}:${level.value}`;
  [all, errors] = [[], []];
  stream?.subscribe(topic, {
    snapshot: ({ items, errors: said }) => {
      [all, errors] = [items, said ?? []];
      draw();
    },
    delta: ({ append = [], errors: said }) => {
      all = [...all, ...append].slice(-KEPT);
      errors = said ?? errors;
      draw();
    },
    error: (failure) => {
      errors = [{ node: "", name: "", error: failure }];
      draw();
    },
  });
}

let drawing = 0;
/** Once per frame is enough, however fast they come. */
function draw() {
  cancelAnimationFrame(drawing);
  drawing = requestAnimationFrame(drawNow);
}

function drawNow() {
  const wanted = `${text.value} ${words}`.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const matching = wanted.length ? all.filter((line) => matches(line, wanted)) : all;
  none.hidden = all.length > 0;
  empty.hidden = all.length === 0 || matching.length > 0;
  frame.hidden = matching.length === 0;
  drawNotes();
  // A node that was started anew counts its lines from one again.
  list(lines, matching, { key: ({ node: id, seq, at }) => `${id}/${seq}/${at}`, make: row });
  if (follow.checked) frame.scrollTop = frame.scrollHeight;
}

/** Why some nodes told nothing; those with the same reason together. */
function drawNotes() {
  /** @type {Map<string, string[]>} */
  const told = new Map();
  for (const { name, error } of errors) {
    const reason = [error.message, error.next].filter(Boolean).join(": ");
    told.set(reason, [...(told.get(reason) ?? []), name].filter(Boolean));
  }
  list(notes, [...told], {
    key: ([reason]) => reason,
    make: () => h("li"),
    update: (item, [reason, names]) => say(item, names.length ? `${names.join(", ")}: ${reason}` : reason),
  });
}

/** @param {Line} line @param {string[]} wanted */
function matches(line, wanted) {
  const said = `${line.name} ${line.level} ${line.target} ${line.message} ${JSON.stringify(line.fields)}`.toLowerCase();
  return wanted.every((word) => said.includes(word));
}

/** @param {Line} line */
function row(line) {
  const fields = Object.entries(line.fields ?? {}).map(([key, value]) => [
    " ",
    h("span.field", {}, h("i", {}, `${key}=`), typeof value === "string" ? value : JSON.stringify(value)),
  ]);
  const item = h(
    "li",
    { "data-id": `${line.node}/${line.seq}`, "data-level": line.level },
    h("time", { datetime: line.at, title: exact(line.at) }, clock(line.at, true)),
    h("span.level", {}, line.level),
    h("span.from", { title: line.name }, tag(line.node, line.name), h("span.offscreen", {}, line.name)),
    h("span.message", {}, h("span.target", {}, line.target), " ", line.message, fields),
  );
  set(item, "class", line.level === "error" || line.level === "warn" ? `line ${line.level}` : "line");
  return item;
}
