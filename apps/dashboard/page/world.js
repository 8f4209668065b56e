// @ts-check
// What all screens know: the nodes, and which of them serves this page.

/** @typedef {import("./contract").Node} GuthiNode */

export const world = {
  cluster: "",
  /** The id of the node that serves this page. */
  self: "",
  /**
   * In the order of the server: this one, the living by name, the others.
   * @type {Map<string, GuthiNode>}
   */
  nodes: new Map(),
  /**
   * Of each node, its newest round trips.
   * @type {Map<string, number[]>}
   */
  trips: new Map(),
};

/** @type {Set<() => void>} */
const listeners = new Set();
/** @param {() => void} listener */
export const onWorld = (listener) => void listeners.add(listener);
const worldChanged = () => listeners.forEach((listener) => listener());

export const me = () => world.nodes.get(world.self);

const TRIPS = 30;
const LIVING = ["joining", "alive", "suspected"];

/** @type {import("./stream.js").Reader} */
export const nodesReader = {
  snapshot: ({ items }) => {
    world.nodes = new Map(items.map((/** @type {GuthiNode} */ node) => [node.id, node]));
    settle(items);
  },
  delta: ({ put = [], drop = [] }) => {
    for (const node of put) world.nodes.set(node.id, node);
    for (const id of drop) world.nodes.delete(id);
    settle(put);
  },
};

/** @param {GuthiNode[]} changed */
function settle(changed) {
  world.nodes = new Map(
    [...world.nodes].sort(([, a], [, b]) => rank(a) - rank(b) || a.name.localeCompare(b.name, "en", { numeric: true })),
  );
  for (const { id, rtt_ms } of changed) {
    const trips = world.trips.get(id) ?? [];
    if (rtt_ms != null) trips.push(rtt_ms);
    world.trips.set(id, trips.slice(-TRIPS));
  }
  for (const id of world.trips.keys()) if (!world.nodes.has(id)) world.trips.delete(id);
  worldChanged();
}

/** @param {GuthiNode} node */
const rank = (node) => (node.self ? 0 : LIVING.includes(node.status) ? 1 : 2);

/** How many there are of each status, those that are in trouble last. */
export function counts() {
  const order = ["alive", "joining", "suspected", "failed", "left"];
  const nodes = [...world.nodes.values()];
  return order
    .map((status) => ({ status, count: nodes.filter((node) => node.status === status).length }))
    .filter(({ count }) => count);
}
