// @ts-check
// What the page says while its node does not answer, or does not know this browser.

import { h, icon, list, say } from "./dom.js";

/** @typedef {import("./stream.js").Stream} Stream */

const WORDS = {
  connecting: "connecting",
  live: "live",
  hidden: "paused",
  gone: "gone",
  locked: "no access",
  left: "has left",
};

/** @param {Stream["state"]} state */
export const connectionWord = (state) => WORDS[state];

const title = h("strong");
// It counts: whoever listens is told once that the node is gone, not each second for how long.
const when = h("span", { "data-role": "retry", "aria-live": "off" });
const again = h("button", { type: "button" }, "Try now");
const others = h("ul.others");
const elsewhere = h(
  "div.elsewhere",
  {},
  h("p", {}, "Other nodes of the cluster on this machine. Each link works once:"),
  others,
);
const none = h(
  "p.elsewhere",
  {},
  "No other node with a page is on this machine. Start one: ",
  h("code", {}, "guthi node start"),
);
let timer = 0;

/** @param {HTMLElement} banner @param {Stream} stream @param {string} [name] of the node */
export function drawBanner(banner, stream, name) {
  clearInterval(timer);
  const { state } = stream;
  const gone = state === "gone" || state === "left";
  // Where it was, something else may answer by now.
  const replaced = state === "locked" && stream.others.length > 0;
  banner.hidden = !gone && !replaced;
  if (banner.hidden) return;
  if (!banner.firstChild) {
    banner.setAttribute("role", "alert");
    banner.append(icon("failed"), h("div", {}, h("p", {}, title, " ", when, " ", again), elsewhere, none));
    again.addEventListener("click", () => stream.connect());
  }
  say(
    title,
    state === "left" ? `${name ?? "Your node"} has left the cluster.` : `Your node${name ? ` ${name}` : ""} is gone.`,
  );
  const tell = () => {
    const seconds = Math.ceil((stream.retryAt - Date.now()) / 1000);
    say(
      when,
      replaced || (state === "left" && !stream.retryAt)
        ? ""
        : seconds > 0
          ? `What is shown is old. Trying again in ${seconds} s.`
          : "Trying again …",
    );
  };
  tell();
  if (gone) timer = window.setInterval(tell, 500);
  again.hidden = replaced;
  elsewhere.hidden = !stream.others.length;
  none.hidden = !elsewhere.hidden;
  // Links are one-time and hold a token: they are followed by the browser alone, and never asked for by this page.
  list(
    others,
    stream.others.filter(({ url }) => /^https?:\/\//.test(url)),
    {
      key: ({ url }) => url,
      make: ({ name: other, url }) =>
        h("li", {}, h("a", { href: url, rel: "noreferrer" }, other), " ", h("code", {}, new URL(url).host)),
    },
  );
}

/** @param {import("./contract").Failure} failure */
export function lockedPage(failure) {
  return h(
    "section.teach",
    { "data-role": "locked" },
    h("h2", {}, "This browser has no access yet"),
    h(
      "p",
      {},
      "A node lets in whoever comes with its start URL, which has a token in it. The link was opened without one, or the node has been started anew since.",
    ),
    h("p", {}, "The node printed its start URL when it started. On its machine, this prints it too:"),
    h("pre", {}, "guthi dashboard"),
    h("p", {}, "Open that URL in this browser. ", h("a", { href: "/" }, "Try again")),
    h("p.muted", {}, failure.message, failure.next ? `: ${failure.next}` : ""),
  );
}
