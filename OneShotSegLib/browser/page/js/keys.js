// The keys of the review, as the panel has them; the server says which.
import { button, byId, make } from "./dom.js";

const TYPED_INTO = ["INPUT", "TEXTAREA", "SELECT"];
const FURTHER = {
  "Arrow keys": "move the cursor, while the images have the focus", "Page Up, Page Down": "the next slice", "1, 2, 3": "axial, coronal, sagittal",
  Space: "paint at the cursor", "Shift+arrow keys": "paint a line", "Shift+click": "move the cursor while painting", "Ctrl+wheel, + and -": "brush size",
  B: "brush, 3D brush or outline", F: "fill between slices", Esc: "stop painting",
};
const WORDS = {
  next: "next case", previous: "case before", accept: "accept", reject: "reject", edit: "edit voxel by voxel", regrow: "regrow around strokes",
  undo: "take back", next_structure: "next structure", previous_structure: "structure before",
  accept_structure: "this structure is right", doubt_structure: "this structure is in doubt", reject_structure: "this structure is wrong",
};

export function listenForKeys(page) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") {
      page.painter.tool?.onEnd?.();
      return;
    }
    if (TYPED_INTO.includes(event.target.tagName) && event.target.type !== "radio" && event.target.type !== "checkbox") return;
    if (byId("keys").open) return;
    const action = page.state.keys[nameOf(event)];
    if (!action) return;
    // A key that is held down would decide a row of cases that nobody has seen.
    if (event.repeat) return;
    event.preventDefault();
    page.act(action);
  });
  byId("help").addEventListener("click", () => showKeys(page));
}

// Alt makes other letters of the keys of some systems: then the key itself says which it is.
function nameOf(event) {
  const letter = event.altKey && event.code.startsWith("Key") ? event.code.slice(3) : event.key.toUpperCase();
  return `${event.altKey ? "Alt+" : ""}${event.shiftKey ? "Shift+" : ""}${letter}`;
}

function showKeys(page) {
  const rows = Object.entries(page.state.keys)
    .filter(([key, action], _index, all) => all.findIndex(([, other]) => other === action) === all.findIndex(([other]) => other === key))
    .map(([key, action]) => [key, WORDS[action] ?? action]);
  const dialog = byId("keys");
  const body = [...rows, ...Object.entries(FURTHER)].map(([key, words]) => make("tr", {}, make("td", {}, make("kbd", {}, key)), make("td", {}, words)));
  dialog.replaceChildren(make("h2", {}, "Keys"), make("table", {}, make("tbody", {}, ...body)), make("div", { className: "buttons" }, button("Close", () => dialog.close())));
  dialog.addEventListener("close", () => byId("help").setAttribute("aria-expanded", "false"), { once: true });
  byId("help").setAttribute("aria-expanded", "true");
  dialog.showModal();
}
