// @ts-check
// Screen: the variables of the cluster, and a form to change one.

import { Refusal, exactly, failureOf, request } from "./api.js";
import { announce, h, icon, say, set } from "./dom.js";
import { bytes, plural } from "./format.js";
import { Table } from "./table.js";
import { ask, nodeName, problem, problemBox } from "./widgets.js";
import { onWorld, world } from "./world.js";

/** @typedef {import("./contract").Variable} Variable */
/** @typedef {import("./contract").VariableValue} VariableValue */
/** @typedef {import("./contract").At} At */
/** @typedef {{ unanswered: At[], more: boolean }} Missing */

/** How often is asked anew while somebody searches. */
const AGAIN = 2000;
/** So much of a value is shown in the list. */
const CHARS = 60;

/** @type {Map<string, Variable>} */
let variables = new Map();
/** @type {Missing} */
let missing = { unanswered: [], more: false };
/** What the server looks for; nothing while the stream tells of all. */
let wanted = { prefix: "", contains: "" };
let asking = 0;
let shown = false;

/** @type {Table<Variable>} */
const table = new Table({
  name: "variables",
  caption: "Variables, their values, and who keeps them",
  id: ({ name }) => name,
  dress: (row, { name, degraded }) => {
    set(row, "data-degraded", degraded ? "true" : null);
    set(row, "aria-current", editor.name === name ? "true" : null);
  },
  columns: [
    { key: "name", label: "Name", header: true, text: ({ name }) => name, title: ({ name }) => name, paint: paintName },
    { key: "value", label: "Value", text: shortened, title: shapeOf, paint: paintValue },
    { key: "version", label: "Version", text: ({ version }) => version, sort: ({ version }) => order(version) },
    { key: "bytes", label: "Size", number: true, text: (item) => bytes(item.bytes), sort: (item) => item.bytes },
    {
      key: "homes",
      label: "Homes",
      text: ({ homes, degraded }) => homes.map(nameOf).join(", ") + (degraded ? " degraded" : ""),
      title: ({ degraded }) => (degraded ? "fewer nodes keep it than should" : "who keeps it, the first home first"),
      paint: paintHomes,
    },
    {
      key: "copies",
      label: "Copies",
      number: true,
      text: ({ copies }) => String(copies),
      sort: ({ copies }) => copies,
      title: () => "nodes beside its first home that have a copy of it",
    },
  ],
});

class Editor {
  name = "";
  /** The version that was read: it is changed only if it still has that. */
  version = "";

  constructor() {
    this.title = h("h2", {}, "");
    this.facts = h("p.muted");
    this.value = h("textarea", {
      name: "value",
      rows: 6,
      spellcheck: "false",
      autocomplete: "off",
      "aria-label": "Value, as JSON",
    });
    this.save = h("button.primary", { "data-role": "save" }, icon("check"), "Save");
    this.error = problemBox();
    this.conflict = h("div.conflict", { "data-role": "conflict", role: "alert", hidden: true });
    this.element = h(
      "form.card.edit",
      { "data-form": "variable", hidden: true },
      this.title,
      this.facts,
      h("label", {}, h("span", {}, "Value, as JSON"), this.value),
      this.error,
      this.conflict,
      h(
        "p.actions",
        {},
        this.save,
        h("button", { type: "button", "data-role": "close", onclick: () => this.close() }, "Close"),
        h("button.danger", { type: "button", "data-role": "delete", onclick: () => void this.#remove() }, "Delete"),
      ),
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#write();
    });
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.element.requestSubmit();
    });
  }

  /** @param {string} name */
  async open(name) {
    this.name = name;
    this.#clear();
    try {
      this.#take(await read(name));
      this.value.focus();
    } catch (error) {
      this.version = "";
      say(this.title, name);
      problem(this.error, failureOf(error), true);
    }
    this.element.hidden = false;
    table.draw();
  }

  close() {
    this.name = "";
    this.element.hidden = true;
    table.draw();
  }

  #clear() {
    problem(this.error, null);
    this.conflict.hidden = true;
    this.conflict.replaceChildren();
  }

  /** @param {VariableValue} found */
  #take(found) {
    this.version = found.version;
    say(this.title, found.name);
    const known = found.base64 === undefined;
    say(this.facts, `${shapeOf(found)}, version ${found.version}, ${bytes(found.bytes)}`);
    this.value.value = known ? text(found.value, 2) : found.base64 ?? "";
    this.value.readOnly = this.save.disabled = !known;
    if (!known) say(this.facts, `${this.facts.textContent}: no node says what it looks like, so this is base64`);
  }

  async #write() {
    this.#clear();
    const typed = this.value.value;
    try {
      JSON.parse(typed);
    } catch {
      const next = 'texts stand in quotes: "hello"';
      problem(this.error, { code: "bad_value", message: "this is no JSON", next, outcome: "not_applied" }, true);
      return;
    }
    await this.#busy(async () => {
      // The text goes as it is: numbers that a browser would round stay as they are.
      const headers = { "if-match": `"${this.version}"` };
      const answer = await request(path(this.name), { method: "PUT", body: `{"value":${typed}}`, headers });
      this.#take(await read((await answer.json()).name));
      announce("saved");
    });
  }

  async #remove() {
    const question = {
      form: "delete",
      title: `Delete ${this.name}?`,
      text: "It is deleted for all nodes. Whoever reads it finds that it is not there.",
      action: "Delete",
    };
    if (!(await ask(question))) return;
    await this.#busy(async () => {
      await request(path(this.name), { method: "DELETE" });
      this.close();
    });
  }

  /** @param {() => Promise<void>} work */
  async #busy(work) {
    this.save.disabled = true;
    try {
      await work();
    } catch (error) {
      if (error instanceof Refusal && error.status === 412) await this.#differs();
      else problem(this.error, failureOf(error), true);
    } finally {
      this.save.disabled = this.value.readOnly;
    }
  }

  /** Somebody else was faster: both values are shown, and a person decides. */
  async #differs() {
    /** @type {VariableValue} */
    let now;
    try {
      now = await read(this.name);
    } catch (error) {
      problem(this.error, failureOf(error), true);
      return;
    }
    const theirs = now.base64 ?? text(now.value, 2);
    this.conflict.replaceChildren(
      h("p", {}, `Somebody else has changed it: you read the version ${this.version}, it has ${now.version} now.`),
      h("pre", { "data-role": "theirs" }, theirs),
      h(
        "p.actions",
        {},
        h("button", { type: "button", "data-role": "take", onclick: () => (this.#clear(), this.#take(now)) }, "Take theirs"),
        h(
          "button.danger",
          {
            type: "button",
            "data-role": "overwrite",
            onclick: () => {
              this.version = now.version;
              this.element.requestSubmit();
            },
          },
          "Overwrite it with mine",
        ),
      ),
    );
    this.conflict.hidden = false;
  }
}

const editor = new Editor();
const error = problemBox();
const summary = h("p.muted");
const silent = h("p.silent", { "data-role": "unanswered", hidden: true });
const prefix = h("input", { name: "prefix", type: "search", autocomplete: "off", spellcheck: "false" });
const contains = h("input", { name: "contains", type: "search", autocomplete: "off", spellcheck: "false" });
const find = h(
  "form.find",
  { "data-form": "find", role: "search" },
  h("label", {}, h("span", {}, "Begins with"), prefix),
  h("label", {}, h("span", {}, "Contains"), contains),
);
const none = h(
  "div.teach",
  { hidden: true },
  h("h2", {}, "There are no variables"),
  h("p", {}, "A variable is there as soon as somebody creates it, and has the same value on every node:"),
  h(
    "pre",
    {},
    `let hits = node.variable("site/hits", 0_u64).await?;
hits.add(1).await?;
`,
  ),
  h("p", {}, "Or from a shell:"),
  h("pre", {}, "guthi var set site/limit 20"),
);

find.addEventListener("submit", (event) => event.preventDefault());
const look = () => {
  if (prefix.value === wanted.prefix && contains.value === wanted.contains) return;
  wanted = { prefix: prefix.value, contains: contains.value };
  variables = new Map();
  again();
};
// Whoever fills a field in for the user says only that it has changed.
find.addEventListener("input", look);
find.addEventListener("change", look);

/** @type {Missing & { items: Variable[] }} */
let told = { items: [], unanswered: [], more: false };

/** @type {import("./main.js").Screen} */
export const screen = {
  element: h("section", { "aria-label": "Variables" }, error, silent, none, find, summary, editor.element, table.frame),
  show: (stream) => {
    shown = true;
    stream.subscribe("variables", {
      snapshot: (all) => take({ ...all }),
      delta: ({ put, drop, ...rest }) => {
        const items = new Map(told.items.map((item) => [item.name, item]));
        for (const item of put) items.set(item.name, item);
        for (const name of drop) items.delete(name);
        take({ items: [...items.values()], ...rest });
      },
      error: (failure) => problem(error, failure),
    });
    again();
  },
  hide: (stream) => {
    shown = false;
    clearTimeout(asking);
    stream.unsubscribe("variables");
  },
  search: (words) => table.search(words),
};

onWorld(() => screen.element.isConnected && table.draw());

const searches = () => wanted.prefix !== "" || wanted.contains !== "";

/** @param {Missing & { items: Variable[] }} all what the stream tells */
function take(all) {
  told = all;
  if (!searches()) draw(all);
}

/** Asks the node for what is searched, again and again; without a search the stream tells all. */
function again() {
  clearTimeout(asking);
  if (!shown) return;
  if (!searches()) {
    draw(told);
    return;
  }
  const mine = wanted;
  asking = window.setTimeout(
    async () => {
      try {
        const found = document.hidden ? null : await search(mine);
        if (mine !== wanted || !searches()) return;
        if (found) draw({ ...found, more: found.more || found.next !== null });
      } catch (failure) {
        if (mine !== wanted) return;
        problem(error, failureOf(failure));
      }
      if (mine === wanted) again();
    },
    variables.size ? AGAIN : 150,
  );
}

/** @param {Missing & { items: Variable[] }} all */
function draw({ items, ...rest }) {
  missing = rest;
  problem(error, null);
  variables = new Map(items.map((item) => [item.name, item]));
  const sorted = items.slice().sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  const degraded = items.filter((item) => item.degraded).length;
  none.hidden = items.length > 0 || searches();
  find.hidden = items.length === 0 && !searches();
  summary.hidden = table.frame.hidden = find.hidden;
  const kept = degraded ? `, ${degraded} of them by fewer nodes than should` : "";
  say(summary, `${plural(items.length, "variable is kept", "variables are kept")}${kept}.`);
  drawMissing();
  table.set(sorted);
}

/** Who did not answer, and whether there is more than is shown. */
function drawMissing() {
  const { unanswered, more } = missing;
  const names = unanswered.map(nameOf).join(", ");
  const words = [
    unanswered.length && `No answer from ${names}: there may be more.`,
    more && "There are more than are shown here: say how those begin that you look for.",
  ].filter(Boolean);
  silent.hidden = words.length === 0;
  silent.replaceChildren(icon("suspected"), h("span", {}, words.join(" ")));
}

/** @param {string} name */
const path = (name) => `/variables/${encodeURIComponent(name)}`;

/** @param {string} name @returns {Promise<VariableValue>} */
const read = async (name) => exactly(await (await request(path(name))).text());

/** @param {{ prefix: string, contains: string }} what */
const search = async (what) =>
  exactly(await (await request(`/variables?${new URLSearchParams({ ...what, limit: "1000" })}`)).text());

/** @param {unknown} value @param {number} [indent] */
const text = (value, indent) => JSON.stringify(value, null, indent) ?? "";

/** @param {Variable} variable */
function shortened({ value }) {
  if (value === undefined) return "…";
  const whole = text(value);
  return whole.length > CHARS ? `${whole.slice(0, CHARS)}…` : whole;
}

/** @param {{ shape: string | null, kind: string }} of */
function shapeOf({ shape, kind }) {
  return shape ?? `a type called ${kind}`;
}

/** @param {string} version as a text that sorts */
const order = (version) =>
  version
    .split(".")
    .map((part) => part.padStart(20, "0"))
    .join(".");

/** @param {At} at */
const nameOf = ({ node, name }) => world.nodes.get(node)?.name ?? name ?? node.slice(-8);

/** @param {HTMLElement} cell @param {Variable} variable */
function paintName(cell, { name }) {
  cell.replaceChildren(
    h("button.link", { type: "button", "data-role": "edit", onclick: () => void editor.open(name) }, h("code", {}, name)),
  );
}

/** @param {HTMLElement} cell @param {Variable} variable */
function paintValue(cell, variable) {
  cell.replaceChildren(h("code", {}, shortened(variable)));
}

/** @param {HTMLElement} cell @param {Variable} variable */
function paintHomes(cell, { homes, degraded }) {
  const each = homes.map((at) => nodeName({ id: at.node, name: nameOf(at) }));
  const mark = degraded && h("span.status.is-suspected", { "data-role": "degraded" }, icon("suspected"), "degraded");
  cell.replaceChildren(h("span.waiters", {}, each, mark));
}
