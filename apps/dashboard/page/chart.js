// @ts-check
// Values over time: a ring that keeps the newest, and a small canvas that shows them.

import { h, say } from "./dom.js";
import { clock } from "./format.js";

/** The newest values, each with its moment. NaN is a moment without a value. */
export class Ring {
  length = 0;
  #next = 0;

  /** @param {number} capacity */
  constructor(capacity = 900) {
    this.at = new Float64Array(capacity);
    this.value = new Float64Array(capacity);
  }

  /** @param {number} at @param {number | null | undefined} value */
  push(at, value) {
    if (this.length && at <= this.at[this.#place(this.length - 1)]) return;
    this.at[this.#next] = at;
    this.value[this.#next] = value ?? NaN;
    this.#next = (this.#next + 1) % this.at.length;
    this.length = Math.min(this.length + 1, this.at.length);
  }

  /** @param {number} index 0 is the oldest */
  #place(index) {
    return (this.#next - this.length + index + this.at.length) % this.at.length;
  }

  /**
   * From a moment on, the oldest first.
   * @param {number} from @param {(at: number, value: number) => void} visit
   */
  since(from, visit) {
    for (let index = 0; index < this.length; index++) {
      const place = this.#place(index);
      if (this.at[place] >= from) visit(this.at[place], this.value[place]);
    }
  }

  /**
   * What it was at a moment, or last before it.
   * @param {number} at
   */
  near(at) {
    for (let index = this.length - 1; index >= 0; index--) {
      const place = this.#place(index);
      if (this.at[place] <= at) return at - this.at[place] < GAP ? this.value[place] : NaN;
    }
    return NaN;
  }

  last() {
    return this.length ? this.value[this.#place(this.length - 1)] : NaN;
  }
}

/** Without a value for so long, the line is broken. */
const GAP = 4000;

/** The moment that all charts point at, and those that are in sight. */
const pointer = { at: NaN };
/** @type {Set<Chart>} */
const charts = new Set();
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    for (const chart of charts) if (chart.canvas === target) chart.sighted(isIntersecting);
  }
});
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) for (const chart of charts) if (chart.canvas === target) chart.draw();
});

/** All charts anew, as after a change of the theme. */
export const redraw = () => charts.forEach((chart) => chart.draw());

/** @typedef {{ x: (at: number) => number, y: (value: number) => number, from: number }} Scale */
/**
 * @typedef {object} Options
 * @property {string} label
 * @property {string} of whose values, for those who do not see it
 * @property {(value: number) => string} format
 * @property {number} [top] of the scale; without one it follows the values
 */

export class Chart {
  /**
   * The lines: the last one is drawn strongest, two before it are a band.
   * @type {Ring[]}
   */
  rings = [];
  #now = Date.now();
  #span = 300_000;
  #seen = false;
  #summed = 0;

  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.value = h("output.value", { "aria-live": "off" }, "–");
    this.canvas = h("canvas", { role: "img" });
    this.label = h("span", {}, options.label);
    this.element = h("figure.chart", {}, h("figcaption", {}, this.label, this.value), this.canvas);
    this.canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    this.canvas.addEventListener("pointerleave", () => this.#point(NaN));
    charts.add(this);
    sight.observe(this.canvas);
    sizes.observe(this.canvas);
  }

  remove() {
    charts.delete(this);
    sight.unobserve(this.canvas);
    sizes.unobserve(this.canvas);
    this.element.remove();
  }

  /** @param {Ring[]} rings @param {number} now the right edge @param {number} span in milliseconds */
  show(rings, now, span) {
    [this.rings, this.#now, this.#span] = [rings, now, span];
    this.draw();
  }

  /** @param {boolean} seen */
  sighted(seen) {
    this.#seen = seen;
    this.draw();
  }

  draw() {
    if (!this.rings.length) return;
    this.#tell();
    if (!this.#seen) return;
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const scale = this.#scale(width, height);
    // The style sheet's colours come through properties that a canvas does not use itself: a variable would not be resolved.
    this.#grid(pen, width, height, style.outlineColor);
    const colour = style.color;
    const rings = this.rings;
    if (rings.length === 3) this.#band(pen, rings[0], rings[1], scale, colour);
    this.#line(pen, rings[rings.length - 1], scale, colour, rings.length === 1 ? height : 0);
    this.#cross(pen, scale, height, style.caretColor, colour);
  }

  /** @param {number} width @param {number} height */
  #scale(width, height) {
    let top = this.options.top ?? 0;
    const from = this.#now - this.#span;
    if (!top) {
      for (const ring of this.rings) ring.since(from, (_, value) => (top = value > top ? value : top));
      top = nice(top);
      say(this.label, `${this.options.label}, up to ${this.options.format(top)}`);
    }
    const x = (/** @type {number} */ at) => ((at - from) / this.#span) * width;
    const y = (/** @type {number} */ value) => height - 1.5 - (Math.min(value, top) / top) * (height - 4);
    return { x, y, from };
  }

  /** @param {CanvasRenderingContext2D} pen @param {number} width @param {number} height @param {string} colour */
  #grid(pen, width, height, colour) {
    pen.strokeStyle = colour;
    pen.lineWidth = 1;
    pen.beginPath();
    for (const share of [0, 0.5, 1]) {
      const y = Math.round(1 + share * (height - 3)) + 0.5;
      pen.moveTo(0, y);
      pen.lineTo(width, y);
    }
    pen.stroke();
  }

  /**
   * One stroke per stretch without a gap; `floor` is where its area ends, 0 for a bare line.
   * @param {CanvasRenderingContext2D} pen @param {Ring} ring @param {Scale} scale
   * @param {string} colour @param {number} floor
   */
  #line(pen, ring, scale, colour, floor) {
    for (const stretch of stretches(ring, scale)) {
      pen.beginPath();
      stretch.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      if (stretch.length === 1) pen.lineTo(stretch[0][0] + 1.5, stretch[0][1]);
      pen.strokeStyle = colour;
      pen.lineWidth = 1.5;
      pen.lineJoin = "round";
      pen.stroke();
      if (!floor) continue;
      pen.lineTo(stretch[stretch.length - 1][0], floor);
      pen.lineTo(stretch[0][0], floor);
      this.#fill(pen, colour, 0.13);
    }
  }

  /** @param {CanvasRenderingContext2D} pen @param {Ring} low @param {Ring} high @param {Scale} scale @param {string} colour */
  #band(pen, low, high, scale, colour) {
    const [under, over] = [stretches(low, scale), stretches(high, scale)];
    over.forEach((stretch, index) => {
      pen.beginPath();
      stretch.forEach(([x, y], at) => (at ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      for (const [x, y] of (under[index] ?? []).slice().reverse()) pen.lineTo(x, y);
      this.#fill(pen, colour, 0.2);
    });
  }

  /** @param {CanvasRenderingContext2D} pen @param {string} colour @param {number} share */
  #fill(pen, colour, share) {
    pen.globalAlpha = share;
    pen.fillStyle = colour;
    pen.fill();
    pen.globalAlpha = 1;
  }

  /** @param {CanvasRenderingContext2D} pen @param {Scale} scale @param {number} height @param {string} ink @param {string} colour */
  #cross(pen, scale, height, ink, colour) {
    if (Number.isNaN(pointer.at)) return;
    const [x, value] = [scale.x(pointer.at), this.rings[this.rings.length - 1].near(pointer.at)];
    pen.fillStyle = ink;
    pen.globalAlpha = 0.35;
    pen.fillRect(Math.round(x), 0, 1, height);
    pen.globalAlpha = 1;
    if (Number.isNaN(value)) return;
    pen.fillStyle = colour;
    pen.beginPath();
    pen.arc(x, scale.y(value), 3, 0, 7);
    pen.fill();
  }

  /** The value beside the name, and now and then the whole in words. */
  #tell() {
    const { format, label, of } = this.options;
    const ring = this.rings[this.rings.length - 1];
    const pointed = !Number.isNaN(pointer.at);
    const value = pointed ? ring.near(pointer.at) : ring.last();
    const text = Number.isNaN(value) ? "–" : format(value);
    say(this.value, pointed ? `${text} at ${clock(pointer.at)}` : text);
    if (Date.now() - this.#summed < 5000) return;
    this.#summed = Date.now();
    const words = summary(ring, this.#now - this.#span, format);
    this.canvas.setAttribute("aria-label", `${label} of ${of}: ${words}`);
  }

  /** @param {number} x */
  #point(x) {
    pointer.at = Number.isNaN(x) ? NaN : this.#now - this.#span * (1 - x / this.canvas.clientWidth);
    redraw();
  }
}

/** @param {Ring} ring @param {Scale} scale */
function stretches(ring, scale) {
  /** @type {[number, number][][]} */
  const found = [];
  let last = -Infinity;
  ring.since(scale.from - GAP, (at, value) => {
    if (Number.isNaN(value)) return;
    if (at - last > GAP) found.push([]);
    found[found.length - 1].push([scale.x(at), scale.y(value)]);
    last = at;
  });
  return found;
}

/** @param {Ring} ring @param {number} from @param {(value: number) => string} format */
function summary(ring, from, format) {
  let [count, sum, low, high] = [0, 0, Infinity, -Infinity];
  ring.since(from, (_, value) => {
    if (Number.isNaN(value)) return;
    [count, sum, low, high] = [count + 1, sum + value, Math.min(low, value), Math.max(high, value)];
  });
  if (!count) return "no values yet";
  const now = ring.last();
  return `now ${Number.isNaN(now) ? "unknown" : format(now)}, between ${format(low)} and ${format(high)}, ${format(sum / count)} on average`;
}

/**
 * The next round number above.
 * @param {number} value
 */
function nice(value) {
  if (!(value > 4)) return 4;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}
