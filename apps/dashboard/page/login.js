// @ts-check
// The page that asks for a password, where a node has one.

const form = /** @type {HTMLFormElement} */ (document.getElementById("login"));
const password = /** @type {HTMLInputElement} */ (document.getElementById("password"));
const error = /** @type {HTMLElement} */ (document.getElementById("error"));

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  error.hidden = true;
  const said = await enter().catch(() => "this page's node does not answer");
  if (!said) return location.replace("/");
  error.textContent = said;
  error.hidden = false;
  password.select();
});

/** Nothing, or why not. */
async function enter() {
  const response = await fetch("/login", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ password: password.value }),
  });
  if (response.ok) return "";
  const { error: failure } = await response.json().catch(() => ({ error: null }));
  return failure
    ? [failure.message, failure.next].filter(Boolean).join(": ")
    : `the node answered with ${response.status}`;
}
