// Readers: their decisions side by side, and how far they agree.
import { button, make, replaceKeepingFocus } from "./dom.js";
import { guarded } from "./messages.js";
import { get } from "./server.js";

const STATES = { accepted: "accepted", rejected: "rejected", edited: "corrected" };
const nameOf = (reader) => reader || "study";

export class Readers {
  constructor(page) {
    this.page = page;
    this.found = null;
  }

  open = guarded(async () => {
    this.found = null;
    this.page.refresh();
    this.found = await get("/api/readers");
    this.page.refresh();
  });

  render(side) {
    if (!this.found) {
      replaceKeepingFocus(side, make("h2", {}, "Readers"), make("p", {}, "Comparing…"));
      return;
    }
    replaceKeepingFocus(
      side, make("h2", {}, "Readers"),
      make("p", { className: "details" }, "Each reader's decisions are kept apart: oneshotseg browse STUDY --reader NAME. Those without a name are the study's."),
      this.decisions(), ...this.found.pairs.map((pair) => this.pair(pair)),
      this.found.pairs.length ? null : make("p", {}, "No two readers decided the same case yet."),
      make("div", { className: "buttons" }, button("Compare again", this.open, { "data-key": "again" })),
    );
  }

  decisions() {
    const readers = Object.keys(this.found.decisions);
    const cases = [...new Set(readers.flatMap((reader) => Object.keys(this.found.decisions[reader])))].sort();
    const heads = ["Case", ...readers.map(nameOf)].map((text) => make("th", { scope: "col" }, text));
    const rows = cases.map((name) => make("tr", {}, make("td", {}, name), ...readers.map((reader) => {
      const decision = this.found.decisions[reader][name];
      return make("td", { title: decision?.comment || null }, decision ? STATES[decision.state] : "–");
    })));
    return make("div", { className: "scroll", tabindex: 0, role: "region", "aria-label": "Decisions" },
      make("table", {}, make("caption", {}, `${cases.length} cases decided`), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)));
  }

  pair(pair) {
    const kappa = pair.kappa === null ? "not defined" : pair.kappa.toFixed(2);
    const dice = Object.entries(pair.dice).map(([name, value]) => make("tr", {}, make("td", {}, name), make("td", {}, value.toFixed(3))));
    return make(
      "div", {},
      make("h3", {}, `${nameOf(pair.first)} and ${nameOf(pair.second)}`),
      make("p", {}, `${pair.same} of ${pair.cases} cases decided alike; Cohen's kappa ${kappa}.`),
      dice.length ? make("table", {}, make("caption", {}, `Mean Dice of the masks of ${pair.masks} cases that both accepted or corrected`),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Structure"), make("th", { scope: "col" }, "Dice"))), make("tbody", {}, ...dice)) : null,
      ...pair.notes.map((note) => make("p", { className: "details" }, note)),
    );
  }
}
