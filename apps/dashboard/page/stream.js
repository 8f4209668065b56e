// @ts-check
// The one socket to the node: topics, snapshots, numbered deltas, and coming back when it breaks.

import { exactly, get } from "./api.js";

/** @typedef {import("./contract").Failure} Failure */
/** @typedef {{ snapshot: (data: any) => void, delta?: (data: any) => void, error?: (failure: Failure) => void }} Reader */
/** @typedef {{ reader: Reader, seq: number }} Subscription */
/** @typedef {"connecting" | "live" | "hidden" | "gone" | "locked" | "left"} State */

const PAUSE_MIN = 500;
const PAUSE_MAX = 10_000;

/**
 * Values of variables are shown with all their digits; what else comes has none that would be lost.
 * @param {string} message
 */
const read = (message) => (message.includes('"topic":"variables') ? exactly(message) : JSON.parse(message));

export class Stream {
  /** @type {State} */
  state = "connecting";
  /** When it tries again; 0 if it does not. */
  retryAt = 0;
  /** @type {import("./contract").Other[]} */
  others = [];
  /** Why the node left, in its own words. */
  farewell = "";
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Map<string, Subscription>} */
  #topics = new Map();
  #pause = PAUSE_MIN;
  #timer = 0;
  #opened = false;

  /** @param {{ changed: () => void, hello: (hello: import("./contract").Hello) => void }} on */
  constructor(on) {
    this.on = on;
    document.addEventListener("visibilitychange", () => this.#visible());
    addEventListener("online", () => this.connect());
  }

  connect() {
    clearTimeout(this.#timer);
    if (this.#socket || this.state === "locked") return;
    this.#opened = false;
    this.#become(this.#pause === PAUSE_MIN ? "connecting" : this.state, 0);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/v1/stream`);
    this.#socket = socket;
    socket.onopen = () => this.#open();
    socket.onmessage = (message) => this.#receive(read(message.data));
    socket.onclose = () => this.#close();
  }

  /** @param {string} topic @param {Reader} reader */
  subscribe(topic, reader) {
    this.#topics.set(topic, { reader, seq: -1 });
    if (!document.hidden) this.#send({ subscribe: [topic] });
  }

  /** @param {string} topic */
  unsubscribe(topic) {
    if (this.#topics.delete(topic)) this.#send({ unsubscribe: [topic] });
  }

  /** The node no longer knows this browser: nothing is tried until the page is loaded again. */
  lock() {
    clearTimeout(this.#timer);
    this.#become("locked", 0);
    this.#socket?.close();
  }

  #open() {
    this.#opened = true;
    this.#pause = PAUSE_MIN;
    this.farewell = "";
    this.#visible();
  }

  /** A page that nobody sees asks for nothing. */
  #visible() {
    const topics = [...this.#topics.keys()];
    if (document.hidden) this.#send({ unsubscribe: topics });
    else if (topics.length) this.#send({ subscribe: topics });
    if (this.#socket && this.#opened) this.#become(document.hidden ? "hidden" : "live", 0);
    else if (!document.hidden && this.state !== "locked") this.connect();
  }

  /** @param {any} message */
  #receive(message) {
    if (message.hello) {
      this.others = message.hello.others ?? [];
      this.on.hello(message.hello);
      return;
    }
    if (message.topic === "bye") return this.#bye(message.delta ?? message.snapshot ?? {});
    const subscription = this.#topics.get(message.topic);
    if (!subscription) return;
    if (message.error) subscription.reader.error?.(message.error);
    else if ("snapshot" in message) {
      subscription.seq = message.seq;
      subscription.reader.snapshot(message.snapshot);
    } else if (subscription.seq < 0)
      return; // Sent before the topic was asked for anew.
    else if (message.seq !== subscription.seq + 1) this.#again(message.topic, subscription);
    else {
      subscription.seq = message.seq;
      subscription.reader.delta?.(message.delta);
    }
  }

  /**
   * Something was missed: only a snapshot helps.
   * @param {string} topic @param {Subscription} subscription
   */
  #again(topic, subscription) {
    subscription.seq = -1;
    this.#send({ unsubscribe: [topic] });
    this.#send({ subscribe: [topic] });
  }

  /** @param {{ reason?: string, others?: import("./contract").Other[] }} bye */
  #bye({ reason, others }) {
    this.others = others ?? this.others;
    this.farewell = reason ?? "the node leaves";
    this.#become("left", 0);
  }

  async #close() {
    this.#socket = null;
    for (const subscription of this.#topics.values()) subscription.seq = -1;
    // A browser does not tell why a socket was refused: a plain request does.
    if (!this.#opened) await get("/self").catch(() => {});
    if (this.state === "locked" || this.#socket) return;
    const pause = this.#pause * (0.8 + Math.random() * 0.4);
    this.#pause = Math.min(this.#pause * 2, PAUSE_MAX);
    this.#become(this.farewell ? "left" : "gone", Date.now() + pause);
    this.#timer = window.setTimeout(() => this.connect(), pause);
  }

  /** @param {object} message */
  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** @param {State} state @param {number} retryAt */
  #become(state, retryAt) {
    this.state = state;
    this.retryAt = retryAt;
    this.on.changed();
  }
}
