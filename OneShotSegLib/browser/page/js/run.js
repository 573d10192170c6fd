// The run that is under way: bars, words, log, and how it ended.
import { button, byId, make } from "./dom.js";
import { guarded, show } from "./messages.js";
import { post } from "./server.js";

const lines = [];
let ended = null;

export const isBusy = (run) => run.state !== "idle";

export function showRun(run, mayCancel) {
  const part = byId("run");
  part.hidden = !isBusy(run) && !lines.length;
  if (part.hidden) return;
  if (!part.firstChild) build(part);
  byId("runTitle").textContent = isBusy(run) ? `${run.title}…` : `${run.title}: over`;
  byId("runBar").value = isBusy(run) ? run.fraction : 1;
  byId("runBar").hidden = byId("runCancel").hidden = !isBusy(run);
  byId("runWords").textContent = [run.cases, run.step].filter(Boolean).join(" · ");
  byId("runCancel").disabled = run.state === "cancelling" || !mayCancel;
  if ("ok" in run.end && ended !== run.end) {
    ended = run.end;
    const text = run.end.text || `${run.title}: done.`;
    show(text, run.end.ok ? "success" : run.end.cancelled ? "plain" : "error");
  }
}

export function addLine(line) {
  lines.push(line);
  if (lines.length > 400) lines.shift();
  const log = byId("runLog");
  if (log) log.textContent = lines.join("\n");
}

export function setLines(all) {
  lines.splice(0, lines.length, ...all);
  const log = byId("runLog");
  if (log) log.textContent = lines.join("\n");
}

function build(part) {
  part.replaceChildren(
    make(
      "div", { className: "row" },
      make("strong", { id: "runTitle" }),
      make("progress", { id: "runBar", max: 1, "aria-label": "How far the run is" }),
      make("span", { id: "runWords", className: "details" }),
      button("Cancel", guarded(() => post("/api/cancel")), { id: "runCancel" }),
    ),
    make("details", {}, make("summary", {}, "Log"), make("pre", { id: "runLog", tabindex: 0, "aria-label": "Log" }, lines.join("\n"))),
  );
}
