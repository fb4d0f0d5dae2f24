/** What the page has to say in between: messages over the picture, and the question for an API key. */

/**
 * Shows a message until it is closed or another comes; null takes it away.
 * @param {HTMLElement} place - with role "alert".
 * @param {{label: string, run: () => void}} action - a button beside it, if any.
 */
export function say(place, text, action) {
  place.hidden = !text;
  place.replaceChildren();
  if (!text) return;
  const words = Object.assign(document.createElement("p"), { textContent: text });
  place.append(words);
  if (action) place.append(button(action.label, "", action.run));
  place.append(button("✕", "quiet", () => say(place, null)));
  place.lastElementChild.ariaLabel = "Close the message";
}

/** The error in words for people: what the engine said, and when to try again. */
export function inWords(error) {
  if (error.name !== "EngineError") return `Something went wrong in this page: ${error.message}`;
  const text = error.message.charAt(0).toUpperCase() + error.message.slice(1);
  const ended = /[.!?]$/.test(text) ? text : `${text}.`;
  return error.retryAfter ? `${ended} Try again in ${error.retryAfter} s.` : ended;
}

/** Asks for the API key; null if the user does not give one. */
export function askKey(dialog) {
  const input = dialog.querySelector("input");
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const answer = () => resolve(dialog.returnValue === "use" ? input.value : null);
    dialog.addEventListener("close", answer, { once: true });
  });
}

function button(text, kind, run) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text, className: kind });
  made.addEventListener("click", run);
  return made;
}
