// Window presets, layout, opacity of the masks.
import { button, byId, make } from "./dom.js";
import { LAYOUTS, WINDOWS } from "./viewer.js";

export function buildToolbar(viewer) {
  const windows = make("select", { id: "window", onchange: (event) => viewer.setWindow(WINDOWS[event.target.value]) });
  for (const [name, [low, high]] of Object.entries(WINDOWS)) windows.append(make("option", { value: name, title: `${low} to ${high} HU` }, name));
  const layouts = make("select", { id: "layout", onchange: (event) => viewer.setLayout(event.target.value) });
  for (const name of Object.keys(LAYOUTS)) layouts.append(make("option", { value: name }, name));
  const fill = make("input", {
    type: "range", id: "fill", min: 0, max: 0.6, step: 0.05,
    oninput: (event) => {
      viewer.fill = Number(event.target.value);
      viewer.redraw();
    },
  });
  fill.value = String(viewer.fill);
  byId("tools").replaceChildren(
    make("label", {}, "Window ", windows), make("label", {}, "View ", layouts), make("label", {}, "Fill ", fill),
    button("Fit", () => {
      viewer.nv.setPan2Dxyzmm([0, 0, 0, 1]);
      viewer.nv.drawScene();
    }, { title: "The whole image again" }),
  );
}
