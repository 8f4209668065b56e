// @ts-check
// The form that calls a function.

import { Refusal, failureOf, lines, request } from "./api.js";
import { announce, copyButton, h, icon, say, set } from "./dom.js";
import { milliseconds, number } from "./format.js";
import { example, hint } from "./signature.js";
import { Table } from "./table.js";
import { nodeName, nodeOptions, problem, problemBox, prose } from "./widgets.js";

/** @typedef {import("./contract").Func} Func */
/** @typedef {import("./contract").Answer} Answer */

export class CallForm {
  /** The function that the address names, if it is known once the list comes. */
  wanted = "";
  name = "";
  /** @type {Map<string, Func>} */
  #functions = new Map();
  /**
   * What was typed for each function.
   * @type {Map<string, string>}
   */
  #typed = new Map();
  /** @type {AbortController | null} */
  #running = null;

  /** @param {() => void} chosen */
  constructor(chosen) {
    this.chosen = chosen;
    this.select = h("select", { name: "function", onchange: () => this.choose(this.select.value) });
    this.signature = h("code.signature");
    this.docs = h("p.docs");
    this.args = h("textarea", {
      name: "args",
      rows: 4,
      spellcheck: "false",
      autocomplete: "off",
      "aria-describedby": "args-hint",
      oninput: () => this.#check(),
    });
    this.hint = h("p.hint", { id: "args-hint" });
    this.on = h("select", { name: "on" });
    this.deadline = h("input", {
      name: "deadline",
      type: "number",
      min: "0.1",
      max: "3600",
      step: "any",
      value: "30",
      required: true,
      class: "short",
    });
    this.call = h("button.primary", { "data-role": "call" }, icon("play"), "Call");
    this.cancel = h(
      "button",
      { type: "button", "data-role": "cancel", hidden: true, onclick: () => this.#running?.abort() },
      "Cancel",
    );
    this.progress = h("progress", {
      "data-role": "progress",
      max: 1,
      hidden: true,
      "aria-label": "Progress of the call",
    });
    this.spent = h("span.muted");
    this.error = problemBox();
    this.result = h("div.result", { "data-role": "result", role: "status", hidden: true });
    this.element = h(
      "form.card.call",
      { "data-form": "call", "aria-label": "Try a function" },
      h("h2", {}, "Try it"),
      h("label", {}, h("span", {}, "Function"), this.select),
      this.signature,
      this.docs,
      h("label", {}, h("span", {}, "Arguments, as JSON"), this.args),
      this.hint,
      h(
        "div.fields",
        {},
        h("label", {}, h("span", {}, "On"), this.on),
        h("label", {}, h("span", {}, "Deadline, seconds"), this.deadline),
      ),
      h("p.actions", {}, this.call, this.cancel, this.spent),
      this.progress,
      this.error,
      this.result,
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.element.requestSubmit();
    });
    this.nodesChanged();
  }

  /** @param {Func[]} functions */
  set(functions) {
    const names = functions.map(({ name }) => name).join("\n");
    this.#functions = new Map(functions.map((one) => [one.name, one]));
    if (this.select.dataset.names !== names) {
      this.select.dataset.names = names;
      this.select.replaceChildren(...functions.map(({ name }) => h("option", { value: name }, name)));
    }
    const known = [this.wanted, this.name, functions[0]?.name].find((name) => name && this.#functions.has(name));
    this.wanted = "";
    if (known && known !== this.name) this.choose(known);
    else this.select.value = this.name;
  }

  nodesChanged() {
    nodeOptions(this.on, [
      ["any", "any node"],
      ["all", "all nodes"],
    ]);
  }

  /** @param {string} name @param {boolean} [focus] */
  choose(name, focus = false) {
    const chosen = this.#functions.get(name);
    if (!chosen) return;
    if (this.name !== name) {
      if (this.name) this.#typed.set(this.name, this.args.value);
      this.name = name;
      this.args.value = this.#typed.get(name) ?? example(chosen.signature);
      this.#clear();
    }
    this.select.value = name;
    say(this.signature, chosen.signature);
    this.docs.replaceChildren(...prose(chosen.docs));
    say(this.hint, hint(chosen.signature));
    this.#check();
    this.chosen();
    if (!focus) return;
    this.element.scrollIntoView({ block: "nearest" });
    this.args.focus();
  }

  /** Whether the arguments are JSON, and if not, a word beside them. */
  #check() {
    const text = this.args.value.trim();
    try {
      this.args.setCustomValidity("");
      set(this.args, "aria-invalid", null);
      if (text) JSON.parse(text);
      return true;
    } catch (error) {
      this.args.setCustomValidity(`This is no JSON: ${error instanceof Error ? error.message : error}`);
      set(this.args, "aria-invalid", "true");
      return false;
    }
  }

  #clear() {
    problem(this.error, null);
    this.result.hidden = true;
    this.result.replaceChildren();
    say(this.spent, "");
  }

  async #submit() {
    if (!this.#check() || this.#running) return;
    this.#clear();
    const running = (this.#running = new AbortController());
    const started = performance.now();
    const clock = setInterval(() => say(this.spent, milliseconds(performance.now() - started)), 100);
    this.#busy(true);
    try {
      const rest = { on: this.on.value, deadline_ms: Math.round(Number(this.deadline.value) * 1000), progress: true };
      // The arguments travel as they were typed: JavaScript would round large integers.
      const body = `{"args":${this.args.value.trim() || "null"},${JSON.stringify(rest).slice(1)}`;
      const path = `/functions/${encodeURIComponent(this.name)}/call`;
      const response = await request(path, { method: "POST", body, signal: running.signal });
      for await (const answer of lines(response)) this.#take(answer);
    } catch (error) {
      problem(this.error, running.signal.aborted ? cancelled : failureOf(error), true);
    }
    clearInterval(clock);
    this.#running = null;
    this.#busy(false);
  }

  /** @param {Answer} answer */
  #take(answer) {
    if (answer.progress !== undefined) {
      this.progress.value = answer.progress;
      return;
    }
    if (answer.error) throw new Refusal(200, answer.error);
    this.result.hidden = false;
    if (answer.items) this.result.append(answersTable(answer.items));
    else this.result.append(...oneAnswer(answer));
    announce("the call is answered");
  }

  /** @param {boolean} busy */
  #busy(busy) {
    this.call.disabled = busy;
    this.cancel.hidden = !busy;
    this.progress.hidden = !busy;
    this.progress.removeAttribute("value");
    set(this.element, "aria-busy", String(busy));
  }
}

/** @type {import("./contract").Failure} */
const cancelled = {
  code: "cancelled",
  message: "the call is cancelled, also at the other end",
  next: null,
  outcome: "unknown",
};

/** A text that is longer would make the page slow. */
const SHOWN_MAX = 50_000;

/** @param {unknown} value */
const written = (value) =>
  typeof value === "string" ? JSON.stringify(value) : (JSON.stringify(value, null, 2) ?? "null");

/** @param {Answer} answer */
function oneAnswer({ result, node = "", name = "", elapsed_ms }) {
  const text = written(result);
  return [
    h(
      "p.by",
      {},
      icon("check"),
      nodeName({ id: node, name }),
      h("span.muted", {}, milliseconds(elapsed_ms)),
      copyButton(() => text, "Copy the result"),
    ),
    h("pre", { tabindex: "0" }, text.slice(0, SHOWN_MAX)),
    ...(text.length > SHOWN_MAX
      ? [h("p.muted", {}, `The first ${number(SHOWN_MAX)} of ${number(text.length)} characters; all are copied.`)]
      : []),
  ];
}

/** @param {Answer[]} answers */
function answersTable(answers) {
  /** @type {Table<Answer>} */
  const table = new Table({
    name: "answers",
    caption: "Answers of all nodes",
    id: ({ node }) => node ?? "",
    columns: [
      {
        key: "node",
        label: "Node",
        header: true,
        text: ({ name }) => name ?? "",
        paint: (cell, { node = "", name = "" }) => cell.replaceChildren(nodeName({ id: node, name })),
      },
      {
        key: "answer",
        label: "Answer",
        text: ({ ok, error }) => (error ? `${error.code}: ${error.message}` : written(ok)),
        paint: paintAnswer,
      },
      {
        key: "elapsed",
        label: "Took",
        number: true,
        text: ({ elapsed_ms }) => milliseconds(elapsed_ms),
        sort: ({ elapsed_ms }) => elapsed_ms ?? null,
      },
    ],
  });
  table.set(answers);
  return table.frame;
}

/** @param {HTMLElement} cell @param {Answer} answer */
function paintAnswer(cell, { ok, error }) {
  if (!error) cell.replaceChildren(h("code", {}, written(ok)));
  else
    cell.replaceChildren(
      h("span.status.is-failed", { title: error.next ?? "" }, icon("failed"), error.code),
      ` ${error.message}`,
    );
}
