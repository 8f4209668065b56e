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
/** @typedef {Missing & { items: Variable[] }} All */

/** How long is waited for another letter before the node is told how the names begin. */
const TYPING = 150;
/** So much of a value is shown in the list. */
const CHARS = 60;

/**
 * What the stream tells: all that begin as was asked.
 * @type {All}
 */
let told = { items: [], unanswered: [], more: false };
/** @type {import("./stream.js").Stream | null} what it comes by, while the screen is shown */
let from = null;
/** The topic that is told of. */
let topic = "";
let typing = 0;
let drawing = 0;
/** How long drawing rests after it was done, in milliseconds. */
let pause = 0;
const { compare } = new Intl.Collator("en", { numeric: true });

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
  draw();
  clearTimeout(typing);
  typing = window.setTimeout(follow, TYPING);
};
// Whoever fills a field in for the user says only that it has changed.
find.addEventListener("input", look);
find.addEventListener("change", look);

/** @type {import("./main.js").Screen} */
export const screen = {
  element: h("section", { "aria-label": "Variables" }, error, silent, none, find, summary, editor.element, table.frame),
  show: (stream) => {
    from = stream;
    follow();
  },
  hide: (stream) => {
    clearTimeout(typing);
    clearTimeout(drawing);
    drawing = 0;
    stream.unsubscribe(topic);
    from = null;
    topic = "";
  },
  search: (words) => table.search(words),
};

onWorld(() => screen.element.isConnected && table.draw());

const searches = () => prefix.value !== "" || contains.value !== "";

/** Lets the node tell of those that begin as is wanted. */
function follow() {
  const wanted = prefix.value ? `variables:${prefix.value}` : "variables";
  if (!from || wanted === topic) return;
  if (topic) from.unsubscribe(topic);
  topic = wanted;
  from.subscribe(topic, {
    snapshot: (all) => take(all),
    delta: ({ put, drop, ...rest }) => {
      const items = new Map(told.items.map((item) => [item.name, item]));
      for (const item of put) items.set(item.name, item);
      for (const name of drop) items.delete(name);
      take({ items: [...items.values()], ...rest });
    },
    error: (failure) => problem(error, failure),
  });
}

/** @param {All} all */
function take(all) {
  told = all;
  problem(error, null);
  // Values come in faster than very long tables are drawn: most of the time is for whoever uses the page.
  drawing ||= window.setTimeout(() => {
    const begin = performance.now();
    drawing = 0;
    draw();
    pause = 4 * (performance.now() - begin);
  }, pause);
}

/** Of what has come, what is looked for. */
function draw() {
  const items = told.items.filter(({ name }) => name.startsWith(prefix.value) && name.includes(contains.value));
  const sorted = items.sort((a, b) => compare(a.name, b.name));
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
  const { unanswered, more } = told;
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
