// @ts-check
// Requests to the node that serves this page.

/** @typedef {import("./contract").Failure} Failure */

/** What the node said when it refused. */
export class Refusal extends Error {
  /** @param {number} status @param {Failure} failure */
  constructor(status, failure) {
    super(failure.message);
    this.status = status;
    this.failure = failure;
  }
}

/**
 * Called when the node no longer knows this browser.
 * @type {{ locked: (failure: Failure) => void }}
 */
export const access = { locked: () => {} };

/**
 * @param {string} path below `/api/v1`
 * @param {{ method?: string, body?: string, headers?: Record<string, string>, signal?: AbortSignal }} [options] the body is JSON
 * @returns {Promise<Response>}
 */
export async function request(path, options = {}) {
  const { method = "GET", body, headers, signal } = options;
  /** @type {Response} */
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      signal,
      headers: body === undefined ? headers : { "content-type": "application/json", ...headers },
      body,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, unreachable());
  }
  if (response.ok) return response;
  const failure = await refused(response);
  if (response.status === 401) access.locked(failure);
  throw new Refusal(response.status, failure);
}

/** @returns {Failure} */
function unreachable() {
  return {
    code: "unreachable",
    message: "this page's node does not answer",
    next: "see whether its process still runs",
    outcome: "unknown",
  };
}

/** @param {Response} response @returns {Promise<Failure>} */
async function refused(response) {
  const said = await response.json().catch(() => null);
  return (
    said?.error ?? {
      code: "internal",
      message: `the node answered with ${response.status} ${response.statusText}`,
      next: null,
    }
  );
}

/** @param {string} path @returns {Promise<any>} */
export const get = async (path) => (await request(path)).json();

/** @param {string} path @param {unknown} body @returns {Promise<any>} */
export const post = async (path, body) => (await request(path, { method: "POST", body: JSON.stringify(body) })).json();

/** @param {unknown} error @returns {Failure} */
export function failureOf(error) {
  if (error instanceof Refusal) return error.failure;
  return { code: "internal", message: error instanceof Error ? error.message : String(error), next: null };
}

/**
 * Keeps integers that JavaScript would round, where the browser can: they are written again as they came.
 * @param {string} _
 * @param {unknown} value
 * @param {{ source?: string }} [context]
 */
function whole(_, value, context) {
  const exact = typeof value !== "number" || Number.isSafeInteger(value) || !/^-?\d+$/.test(context?.source ?? "");
  const { rawJSON } = /** @type {any} */ (JSON);
  return exact || !rawJSON ? value : rawJSON(context?.source);
}

/**
 * Reads JSON, and keeps its integers as they are.
 * @param {string} text
 */
export const exactly = (text) => JSON.parse(text, whole);

/**
 * The objects of an answer, one per line, as they come; an answer of one object is one line.
 * @param {Response} response
 * @returns {AsyncGenerator<import("./contract").Answer>}
 */
export async function* lines(response) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const parts = (rest + (value ?? "")).split("\n");
    rest = done ? "" : (parts.pop() ?? "");
    for (const part of parts) if (part.trim()) yield JSON.parse(part, whole);
    if (done) return;
  }
}
