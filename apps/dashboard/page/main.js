// @ts-check
// The page: which screen is shown, what the head says, and what the keys do.
//
// Selectors that stay (browser tests and scripts may rely on them):
//   [data-tab="nodes|self|resources|functions|locks|variables|events|logs"]  links of the rail; the shown one has aria-current="page"
//   [data-panel="nodes|…"]                    the shown screen
//   [data-role="cluster|seer|count|search|connection|banner|locked"]   head, banner, page without access
//   [data-role="connection"][data-state="connecting|live|hidden|gone|locked|left"]
//   table[data-table="nodes|sees|resources|functions|locks|variables|events|answers"] tr[data-id] [data-column]
//     nodes: data-id = id; name id ip port zone status rtt cpu memory since version reason menu
//     sees: data-id = observer; data-column = id of the observed
//     resources: data-id = id; id name address installed available memory_load cpu_usage
//     functions: data-id = name; name signature docs nodes calls p50 p95 errors
//     locks: data-id = name; name holder held waiters token; [data-role="unanswered"] beside it
//     variables: data-id = name; name value version bytes homes copies; button [data-role="edit"]; [data-role="degraded"]
//     events: data-id = seq; at event node text
//     answers (of a call on all nodes): data-id = node; node answer elapsed
//   [data-list="self|machine|view|members"] [data-column]     facts of the screen Self; [data-role="ticket"]
//   [data-chart="<id>"] canvas                graphs of a node; [data-role="pause"] in resources, events
//   [data-list="logs"] > [data-id="<node>/<seq>"][data-level]
//   form[data-form="connect"]   inputs address, port
//   form[data-form="call"]      select function, textarea args, select on, input deadline; buttons [data-role="call|cancel"]
//   form[data-form="leave"]     input confirm;  form[data-form="forget"] in a dialog: buttons with value yes, no
//   form[data-form="find"]      inputs prefix, contains
//   form[data-form="variable"]  textarea value; buttons [data-role="save|close|delete"]; [data-role="conflict"] with
//                               [data-role="theirs"] and buttons [data-role="take|overwrite"]
//   form[data-form="login"]     on login.html: input password
//   within forms: [data-role="result"], [data-role="error"] (hidden while there is none), progress[data-role="progress"]

import { access, get } from "./api.js";
import { announce, byId, h, icon, say, set } from "./dom.js";
import { screen as events } from "./events.js";
import { screen as functions } from "./functions.js";
import { connectionWord, drawBanner, lockedPage } from "./connection.js";
import { screen as locks } from "./locks.js";
import { screen as logs } from "./logs.js";
import { counted, screen as nodes } from "./nodes.js";
import { screen as resources } from "./resources.js";
import { screen as self } from "./self.js";
import { keys } from "./shortcuts.js";
import { Stream } from "./stream.js";
import { themeButton } from "./theming.js";
import { screen as variables } from "./variables.js";
import { counts, me, nodesReader, onWorld, world } from "./world.js";

/**
 * @typedef {object} Screen
 * @property {HTMLElement} element
 * @property {(stream: Stream, detail: string) => void} show `detail` is what stands in the address behind the name
 * @property {(stream: Stream) => void} hide
 * @property {(words: string) => void} [search]
 * @property {() => void} [tick] every few seconds, for what depends on the time
 * @property {() => void} [pause] what the key `p` does
 */

/** @type {Record<string, Screen>} */
const screens = { nodes, self, resources, functions, locks, variables, events, logs };
const TICK = 5000;

const search = /** @type {HTMLInputElement} */ (byId("search"));
let shown = "";

const stream = new Stream({
  changed: () => drawConnection(),
  hello: (hello) => {
    world.self = hello.self.id;
    world.cluster = hello.cluster;
    say(byId("cluster"), hello.cluster);
    drawHead();
  },
});

access.locked = (failure) => {
  if (failure.login) location.href = failure.login;
  stream.lock();
  document.body.classList.add("is-locked");
  byId("screens").replaceChildren(lockedPage(failure));
};

/** Shows the screen that the address names. */
function route() {
  const [name, detail = ""] = location.hash.slice(1).split("/");
  const wanted = name in screens ? name : "nodes";
  if (stream.state === "locked") return;
  if (shown) screens[shown].hide(stream);
  const screen = screens[wanted];
  if (wanted !== shown) {
    screen.element.dataset.panel = wanted;
    byId("screens").replaceChildren(screen.element);
    search.value = "";
    scrollTo(0, 0);
  }
  shown = wanted;
  for (const link of document.querySelectorAll("[data-tab]")) {
    const current = link instanceof HTMLElement && link.dataset.tab === wanted;
    set(link, "aria-current", current ? "page" : null);
    if (current) link.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  screen.search?.(search.value);
  screen.show(stream, decodeURIComponent(detail));
  drawHead();
}

function drawHead() {
  const node = me();
  const count = counted(counts());
  say(byId("seer"), node?.name ?? "…");
  drawCount(count);
  document.title = `${counts()
    .map(({ status, count: n }) => `${n} ${status}`)
    .join(" · ")} – ${world.cluster || "Guthi"} – Guthi`.replace(/^ – /, "");
}

/** @param {string} count */
function drawCount(count) {
  const place = byId("count");
  if (place.dataset.text === count) return;
  place.dataset.text = count;
  const all = counts();
  place.replaceChildren(
    ...all.map(({ status, count: n }, at) =>
      h("span", { class: `is-${status}` }, icon(status), `${n} ${status}`, at < all.length - 1 && h("i", {}, " · ")),
    ),
  );
  if (world.nodes.size) announce(count);
}

function drawConnection() {
  const place = byId("connection");
  set(place, "data-state", stream.state);
  say(place, connectionWord(stream.state));
  document.body.classList.toggle("is-gone", stream.state === "gone" || stream.state === "left");
  drawBanner(byId("banner"), stream, me()?.name);
}

search.addEventListener("input", () => screens[shown]?.search?.(search.value));
addEventListener("hashchange", route);
onWorld(drawHead);
setInterval(() => {
  if (!document.hidden && stream.state === "live") screens[shown]?.tick?.();
}, TICK);
themeButton(byId("theme"));
keys({ screens: Object.keys(screens), search, pause: () => screens[shown]?.pause?.() });
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});

stream.subscribe("nodes", nodesReader);
route();
// A refused request tells why; a refused socket does not.
get("/self")
  .then(
    ({ cluster, node }) => {
      world.self = node.id;
      world.cluster = cluster;
      say(byId("cluster"), cluster);
      drawHead();
    },
    () => {},
  )
  .finally(() => stream.connect());
