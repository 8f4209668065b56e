// @ts-check
// Screen: the mutexes of the cluster, who holds them, and who waits.

import { h, icon, say, set } from "./dom.js";
import { duration, exact, plural } from "./format.js";
import { Table } from "./table.js";
import { nodeName, problem, problemBox } from "./widgets.js";
import { onWorld, world } from "./world.js";

/** @typedef {import("./contract").Mutex} Mutex */
/** @typedef {import("./contract").At} At */
/** @typedef {{ unanswered: At[], more: boolean }} Missing */

/** How often times that count up are drawn. */
const SECOND = 1000;

/** @type {Map<string, Mutex>} */
let mutexes = new Map();
/** @type {Missing} */
let missing = { unanswered: [], more: false };
let counting = 0;

/** @type {Table<Mutex>} */
const table = new Table({
  name: "locks",
  caption: "Mutexes, who holds them, and who waits",
  id: ({ name }) => name,
  dress: (row, { holder }) => set(row, "data-held", holder ? "true" : null),
  columns: [
    { key: "name", label: "Name", header: true, text: ({ name }) => name, title: ({ name }) => name, paint: paintName },
    {
      key: "holder",
      label: "Holder",
      text: ({ holder }) => (holder ? `${nameOf(holder)} ${holder.fence}` : "–"),
      title: ({ holder }) => (holder ? `${holder.node}, with the fence ${holder.fence}` : "nobody"),
      paint: paintHolder,
    },
    {
      key: "held",
      label: "Held for",
      number: true,
      text: ({ holder }) => (holder ? duration(heldFor(holder)) : "–"),
      sort: ({ holder }) => (holder ? heldFor(holder) : null),
      title: ({ holder }) => (holder ? `since ${exact(holder.since)}` : ""),
    },
    {
      key: "waiters",
      label: "Waiters",
      text: ({ waiters }) => waiters.map((waiter) => `${nameOf(waiter)} ${waiter.count}`).join(", ") || "–",
      sort: ({ waiting }) => waiting,
      title: ({ waiting }) => (waiting ? `${plural(waiting, "task waits", "tasks wait")}` : ""),
      paint: paintWaiters,
    },
    {
      key: "token",
      label: "Token",
      text: ({ token }) => (token ? nameOf(token) : "–"),
      title: ({ token }) => (token ? `${token.node}: where it is had at once` : "on its way"),
      paint: paintToken,
    },
  ],
});
const error = problemBox();
const summary = h("p.muted");
const silent = h("p.silent", { "data-role": "unanswered", hidden: true });
const none = h(
  "div.teach",
  { hidden: true },
  h("h2", {}, "Nobody holds a lock"),
  h("p", {}, "A mutex is there as soon as somebody names it, and is the same one on every node:"),
  h(
    "pre",
    {},
    `let guard = node.mutex("canvas").lock().await?;
draw(guard.fence()).await;
drop(guard); // the next one's
`,
  ),
  h("p", {}, "Or run a command while no other node runs it:"),
  h("pre", {}, "guthi lock run deploy -- ./deploy.sh"),
);

/** @type {import("./main.js").Screen} */
export const screen = {
  element: h("section", { "aria-label": "Locks" }, error, silent, none, summary, table.frame),
  show: (stream) => {
    counting = window.setInterval(() => document.hidden || table.draw(), SECOND);
    stream.subscribe("mutexes", {
      snapshot: ({ items, ...rest }) => {
        mutexes = new Map(items.map((/** @type {Mutex} */ item) => [item.name, item]));
        draw(rest);
      },
      delta: ({ put, drop, ...rest }) => {
        for (const item of put) mutexes.set(item.name, item);
        for (const name of drop) mutexes.delete(name);
        draw(rest);
      },
      error: (failure) => problem(error, failure),
    });
  },
  hide: (stream) => {
    clearInterval(counting);
    stream.unsubscribe("mutexes");
  },
  search: (words) => table.search(words),
};

onWorld(() => screen.element.isConnected && table.draw());

/** @param {Missing} told */
function draw(told) {
  missing = told;
  problem(error, null);
  const items = [...mutexes.values()].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  const held = items.filter(({ holder }) => holder).length;
  const waiting = items.reduce((sum, item) => sum + item.waiting, 0);
  none.hidden = items.length > 0;
  summary.hidden = table.frame.hidden = items.length === 0;
  say(
    summary,
    `${plural(held, "mutex is held", "mutexes are held")}, ${plural(waiting, "task waits", "tasks wait")}. One that is idle is had at once on the node of its token.`,
  );
  drawMissing();
  table.set(items);
}

/** Who did not answer, and whether there is more than is shown. */
function drawMissing() {
  const { unanswered, more } = missing;
  const names = unanswered.map(nameOf).join(", ");
  const text = [
    unanswered.length && `No answer from ${names}: there may be more.`,
    more && "There are more than are shown here: guthi lock ls PREFIX lists those that begin so.",
  ].filter(Boolean);
  silent.hidden = text.length === 0;
  silent.replaceChildren(icon("suspected"), h("span", {}, text.join(" ")));
}

/** @param {At} at */
const nameOf = ({ node, name }) => world.nodes.get(node)?.name ?? name ?? node.slice(-8);

/** @param {At} at */
const named = (at) => nodeName({ id: at.node, name: nameOf(at) });

/** @param {{ since: string }} holder */
const heldFor = ({ since }) => Math.max(0, (Date.now() - Date.parse(since)) / 1000);

/** @param {HTMLElement} cell @param {Mutex} mutex */
function paintName(cell, { name }) {
  cell.replaceChildren(h("code", {}, name));
}

/** @param {HTMLElement} cell @param {Mutex} mutex */
function paintHolder(cell, { holder }) {
  cell.replaceChildren(holder ? h("span.by", {}, named(holder), h("code.fence", {}, holder.fence)) : "–");
}

/** @param {HTMLElement} cell @param {Mutex} mutex */
function paintWaiters(cell, { waiters }) {
  const each = waiters.map((waiter) => h("span.waiter", {}, named(waiter), `× ${waiter.count}`));
  cell.replaceChildren(each.length ? h("span.waiters", {}, each) : "–");
}

/** @param {HTMLElement} cell @param {Mutex} mutex */
function paintToken(cell, { token }) {
  cell.replaceChildren(token ? named(token) : "–");
}
