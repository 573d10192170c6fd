// One sentence at a time, in place; errors stay until they are closed.
import { button, byId, make } from "./dom.js";

const SECONDS = 8;
let timer = 0;

export function show(text, kind = "plain") {
  const line = byId("message");
  clearTimeout(timer);
  line.className = `message ${kind}`;
  line.hidden = !text;
  line.setAttribute("role", kind === "error" ? "alert" : "status");
  line.replaceChildren(make("span", {}, text), button("Close", clear, { "aria-label": "Close the message" }));
  if (kind === "plain" || kind === "success") timer = setTimeout(clear, SECONDS * 1000);
}

export function clear() {
  byId("message").hidden = true;
}

// Runs something that may fail; its error is shown.
export function guarded(action) {
  return async (...given) => {
    try {
      return await action(...given);
    } catch (error) {
      show(error.message, "error");
      if (!("status" in error)) console.error(error);
      return undefined;
    }
  };
}
