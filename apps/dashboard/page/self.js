// @ts-check
// Screen: the node that serves this page.

import { failureOf, get, post } from "./api.js";
import { copyButton, h, icon, list, say } from "./dom.js";
import { bytes, duration, exact, number, percent, plural } from "./format.js";
import { nodeName, problem, problemBox, statusBadge } from "./widgets.js";
import { me, onWorld, world } from "./world.js";

/** @typedef {import("./contract").Self} Self */
/** @typedef {import("./contract").View} View */

/** @type {Self | null} */
let self = null;
/** @type {View | null} */
let view = null;

const identity = h("dl.facts", { "data-list": "self" });
const machine = h("dl.facts", { "data-list": "machine" });
const agreed = h("dl.facts", { "data-list": "view" });
const members = h("ol.members", { "data-list": "members" });
const ticket = h("code.ticket", { "data-role": "ticket" });
const command = h("code.ticket");
const here = h(
  "p.muted",
  { hidden: true },
  "This node listens on this machine only, so others on it can use the ticket, and nobody else.",
);
const leaveName = h("b", {}, "…");
const error = problemBox();

/** @type {import("./main.js").Screen} */
export const screen = {
  element: h(
    "section",
    { "aria-label": "Self" },
    error,
    h(
      "div.cards",
      {},
      card("This node", identity),
      card("What it agrees on with the others", agreed, h("h3", {}, "Members, the oldest first"), members),
      card(
        "Invite another node",
        h("p", {}, "Whoever has this ticket knows where this node is. The key of the cluster is not in it."),
        here,
        h(
          "div.copyable",
          {},
          ticket,
          copyButton(() => self?.ticket ?? "", "Copy the ticket", "Copy"),
        ),
        h("p", {}, "On the other machine, with the same key in ", h("code", {}, "GUTHI_KEY"), ":"),
        h(
          "div.copyable",
          {},
          command,
          copyButton(() => joining(), "Copy the command", "Copy"),
        ),
      ),
      card("Process and machine", machine),
      card("Leave the cluster", leaveForm()),
    ),
  ),
  show: (stream) => {
    stream.subscribe("view", { snapshot: (data) => see(data), delta: ({ set }) => see(set) });
    void load();
  },
  hide: (stream) => stream.unsubscribe("view"),
  tick: () => void (ticks++ % 3 === 0 ? load() : draw()),
};

let ticks = 0;
onWorld(() => screen.element.isConnected && draw());

async function load() {
  try {
    self = await get("/self");
    view ??= self?.view ?? null;
    problem(error, null);
  } catch (failure) {
    problem(error, failureOf(failure));
  }
  draw();
}

/** @param {any} data */
function see(data) {
  view = data.view ?? data;
  draw();
}

function draw() {
  if (!self) return;
  const node = me() ?? self.node;
  facts(identity, [
    ["ID", copyButton(() => node.id, "Copy the whole ID", h("code", {}, node.id)), node.id],
    ["Name", node.name],
    ["IP Address", node.ip ?? "–"],
    ["Port", String(node.port ?? "–")],
    ["Zone", node.zone ?? "–"],
    ["Cluster", self.cluster],
    ["Status", statusBadge(node.status), node.status],
    ["Addresses", node.addresses.join("\n") || "–"],
    [
      "Labels",
      Object.entries(node.labels ?? {})
        .map(([key, value]) => `${key}=${value}`)
        .join(", ") || "–",
    ],
  ]);
  const { resources } = self;
  facts(machine, [
    ["Version", self.version],
    [
      "Uptime",
      self.started ? duration((Date.now() - Date.parse(self.started)) / 1000) : "–",
      undefined,
      exact(self.started ?? ""),
    ],
    ["PID", String(self.pid)],
    ["System", resources && !resources.error ? `${resources.os}, ${plural(resources.cores, "core")}` : "–"],
    ["CPU of the process", percent(resources?.process_cpu)],
    ["Memory of the process", bytes(resources?.process_memory_bytes)],
    ["Functions", number(node.functions)],
    ["This page", self.url],
    ["Runtime directory", self.runtime_dir ?? "none"],
  ]);
  say(ticket, self.ticket ?? "this node listens nowhere that others could reach");
  say(command, joining());
  here.hidden =
    !node.addresses.length || !node.addresses.every((address) => /^\/ip4\/127\.|^\/ip6\/::1\//.test(address));
  drawView();
  say(leaveName, node.name);
}

function drawView() {
  const [state, look] = !view
    ? ["none yet", "joining"]
    : view.isolated
      ? ["isolated", "failed"]
      : view.active
        ? ["active", "alive"]
        : ["waiting", "suspected"];
  facts(agreed, [
    ["State", h("span", { class: `status is-${look}` }, icon(look), state), state],
    ["Epoch", view?.epoch ?? "–"],
    ["Lineage", view?.lineage ?? "–"],
    ["Members", number(view?.members.length)],
  ]);
  list(members, view?.members ?? [], {
    key: ({ id }) => id,
    make: (member) => h("li", { "data-id": member.id }, nodeName(member), h("code.muted", {}, member.short)),
  });
}

/**
 * Pairs of a word and what it stands for; a value that is an element comes with a text that tells when it changes.
 * @param {HTMLElement} place
 * @param {[label: string, value: string | Element, text?: string, title?: string][]} pairs
 */
function facts(place, pairs) {
  list(place, pairs, {
    key: ([label]) => label,
    make: ([label]) =>
      h("div", {}, h("dt", {}, label), h("dd", { "data-column": label.toLowerCase().replaceAll(" ", "-") })),
    update: (row, [, value, text, title]) => {
      const place = /** @type {HTMLElement} */ (row.lastElementChild);
      const told = text ?? String(value);
      if (title) place.title = title;
      if (place.dataset.text === told) return;
      place.dataset.text = told;
      place.replaceChildren(value);
    },
  });
}

const joining = () => `guthi node start --cluster ${shell(self?.cluster ?? "")} --join ${self?.ticket ?? "ADDRESS"}`;

/**
 * A word as a shell reads it.
 * @param {string} text
 */
const shell = (text) => (/^[\w.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** @param {string} title @param {...(Node | string)} content */
function card(title, ...content) {
  return h("section.card", {}, h("h2", {}, title), content);
}

function leaveForm() {
  const name = h("input", { name: "confirm", autocomplete: "off", spellcheck: "false" });
  const button = h("button.danger", { disabled: true }, "Leave");
  const failed = problemBox();
  const form = h(
    "form.leave",
    { "data-form": "leave" },
    h(
      "p",
      {},
      "The node says goodbye: what it was asked to do is finished first, the others take over, and this page ends with it.",
    ),
    h("label", {}, h("span", {}, "Type ", leaveName, " to leave"), name),
    button,
    failed,
  );
  name.addEventListener("input", () => (button.disabled = name.value !== leaveName.textContent));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (name.value !== leaveName.textContent) return;
    button.disabled = true;
    try {
      await post("/self/leave", { confirm: name.value });
      problem(failed, null);
      form.reset();
    } catch (failure) {
      problem(failed, failureOf(failure), true);
      button.disabled = false;
    }
  });
  return form;
}

onWorld(() => world.self && !self && screen.element.isConnected && void load());
