// The support: choose a CT, name structures, paint; after each stroke what it grows into.
import { button, byId, make, replaceKeepingFocus, swatch } from "./dom.js";
import { guarded, show } from "./messages.js";
import { get, getPacked, postPacked } from "./server.js";

const USUAL_SHARE = 0.5;

export class Support {
  constructor(page) {
    this.page = page;
    this.cts = null;
    this.draft = null;
    this.volumes = {};
    this.findings = [];
    this.growing = false;
    this.waiting = "";
    this.asked = 0;
  }

  get locked() {
    return this.page.state.read_only || Boolean(this.page.state.reader);
  }

  open = guarded(async () => {
    byId("loading").hidden = false;
    try {
      const [cts, draft] = await Promise.all([this.cts ?? get("/api/cts"), getPacked("/api/support")]);
      this.cts = cts;
      await this.take(draft);
    } finally {
      byId("loading").hidden = true;
    }
    this.page.refresh();
    if (this.draft && this.draft.box) this.grow();
  });

  // Shows the strokes as the server has them.
  async take(draft) {
    this.draft = draft.ct ? draft : null;
    if (!this.draft || this.page.tab !== "support") return;
    const { viewer } = this.page;
    if (viewer.image?.key !== draft.image.key && !(await viewer.show(draft.image))) return;
    viewer.line = null;
    viewer.strokes.clear();
    viewer.strokes.describe(draft.segments);
    viewer.strokes.patch(draft.box, draft.voxels);
    viewer.mask.describe(draft.segments);
    viewer.emphasised = 0;
    viewer.labelsChanged();
    if (draft.image.notes.length) show(draft.image.notes.join("\n"), "warning");
    if (this.page.painter.tool?.name === "scribble" || !this.page.painter.tool) this.paint();
  }

  // Another tab painted: show it too.
  changed = guarded(async (number) => {
    if (this.page.tab !== "support" || (this.draft && this.draft.number >= number)) return;
    await this.take(await getPacked("/api/support"));
    this.page.refresh();
    this.grow();
  });

  paint() {
    if (this.locked || !this.draft || this.draft.segments.length < 2) {
      if (this.page.painter.tool?.name === "scribble") this.page.painter.use(null);
      return;
    }
    const erase = { value: 0, name: "Nothing (erase)", color: [1, 1, 1] };
    const structures = this.draft.segments.filter((one) => !one.background);
    const background = this.draft.segments.filter((one) => one.background);
    const fresh = this.page.painter.tool?.name !== "scribble";
    this.page.painter.use(
      {
        name: "scribble",
        fills: true,
        title: "Strokes",
        hint: "A few on each structure, and some on the background around them. Shift+click moves the cursor.",
        segments: [...structures, ...background, erase],
        onStroke: (stroke) => this.stroke(stroke),
        suggest: (value) => this.suggest(value),
      },
      fresh ? structures[0]?.value : undefined,
    );
  }

  // A brush about half as wide as what has grown so far.
  suggest(value) {
    const name = this.draft?.segments.find((one) => one.value === value)?.name;
    const ml = this.volumes[name];
    if (!ml) return undefined;
    const diameter = Math.cbrt((6 * ml * 1000) / Math.PI);
    return Math.min(Math.max(Math.round(diameter * USUAL_SHARE * 2) / 2, 2), 20);
  }

  stroke(stroke) {
    const entry = this.page.outbox.put({ url: "/api/support/stroke", body: { stroke } });
    return this.send(entry);
  }

  send = guarded(async (entry) => {
    const done = await this.page.deliver(entry);
    if (!done || !this.draft) return;
    const { viewer } = this.page;
    viewer.line = null;
    this.draft.number = done.number;
    this.draft.strokes = done.strokes;
    if (done.box && this.page.tab === "support") viewer.strokes.patch(done.box, done.voxels);
    viewer.labelsChanged();
    this.findings = [];
    this.page.refresh();
    this.grow();
  });

  async grow() {
    this.asked += 1;
    const asked = this.asked;
    this.growing = true;
    byId("loading").hidden = false;
    try {
      const grown = await postPacked("/api/support/grow");
      if (asked !== this.asked || grown.superseded || this.page.tab !== "support") return;
      this.waiting = grown.waiting ?? "";
      if (this.waiting) return;
      this.volumes = grown.volumes_ml;
      const { viewer } = this.page;
      viewer.mask.clear();
      viewer.mask.describe(grown.segments);
      viewer.mask.patch(grown.box, grown.voxels);
      viewer.labelsChanged();
      document.body.dataset.grown = String(asked);
    } catch (error) {
      show(error.message, "error");
    } finally {
      if (asked === this.asked) {
        this.growing = false;
        byId("loading").hidden = true;
        this.page.refresh();
      }
    }
  }

  render(side) {
    const parts = [make("h2", {}, "Support")];
    parts.push(this.choice());
    if (this.draft) parts.push(...this.structures());
    if (!this.locked && this.draft) parts.push(this.propagation());
    replaceKeepingFocus(side, ...parts);
  }

  choice() {
    const list = make("select", { id: "ct", "data-key": "ct", disabled: this.locked || this.page.busy });
    if (!this.draft) list.append(make("option", { value: "" }, "Choose…"));
    for (const { number, name } of this.cts ?? []) {
      list.append(make("option", { value: String(number), selected: this.draft ? name.endsWith(this.draft.ct) : false }, name));
    }
    list.addEventListener("change", guarded(() => this.choose(Number(list.value))));
    const hint = this.draft ? null : make("p", { className: "details" }, "One CT is the support: a few strokes in it are propagated to all others.");
    return make("div", {}, hint, make("label", { for: "ct" }, "CT of the support"), make("div", { className: "row" }, list));
  }

  async choose(number) {
    byId("loading").hidden = false;
    this.volumes = {};
    try {
      await this.take(await postPacked("/api/support/choose", { number }));
    } finally {
      byId("loading").hidden = true;
    }
    this.page.refresh();
    if (this.draft?.box) this.grow();
  }

  structures() {
    const items = this.draft.segments.filter((one) => !one.background).map((one) =>
      make(
        "li", {}, make("label", {},
          make("input", {
            type: "radio", name: "structure", value: String(one.value), "data-key": `structure ${one.value}`, disabled: this.locked,
            checked: this.page.painter.value === one.value, onchange: () => this.page.painter.choose(one.value),
          }), swatch(one.color), one.name),
        make("span", { className: "ml" }, this.volumes[one.name] ? `${this.volumes[one.name].toFixed(1)} ml` : ""),
        this.locked ? null : button("Remove", guarded(() => this.change({ remove: one.value })), {
          className: "quiet", "aria-label": `Remove ${one.name}`, "data-key": `remove ${one.value}`,
        }),
      ));
    const name = make("input", { type: "text", id: "names", "data-key": "names", autocomplete: "off", placeholder: "Brainstem, Mandible" });
    name.value = this.typed ?? "";
    name.addEventListener("input", () => { this.typed = name.value; });
    const add = make("form", {
      className: "row",
      onsubmit: guarded(async (event) => {
        event.preventDefault();
        await this.change({ names: name.value });
      }),
    }, make("label", { for: "names" }, "Add structures, with commas between them"), name, make("button", { type: "submit", "data-key": "add" }, "Add"));
    return [
      make("h3", {}, "Structures"), make("ul", { className: "structures" }, ...items), this.locked ? null : add,
      this.locked ? null : make("div", { className: "buttons" },
        button("Take the last stroke back (U)", () => this.undo(), { disabled: !this.draft.strokes, "data-key": "undo" })),
      make("p", { className: "details", id: "growth" }, this.growing ? "Growing…" : this.draft.box ? this.waiting : "No strokes yet."),
    ];
  }

  async change(body) {
    this.typed = "";
    await this.take(await postPacked("/api/support/structures", body));
    this.page.refresh();
    if (this.draft?.box) this.grow();
    byId("names")?.focus();
  }

  undo = guarded(async () => {
    if (!this.draft?.strokes) return;
    await this.take(await postPacked("/api/support/undo"));
    this.page.refresh();
    if (this.draft?.box) this.grow();
    else {
      this.page.viewer.mask.clear();
      this.page.viewer.labelsChanged();
    }
  });

  propagation() {
    const findings = this.findings.map(({ text }) => make("li", {}, text));
    return make(
      "div", {},
      findings.length ? make("ul", { className: "findings", "aria-label": "What is missing" }, ...findings) : null,
      make("div", { className: "buttons" },
        button("Check", guarded(async () => {
          this.findings = await get("/api/support/check");
          if (!this.findings.length) show("The strokes are ready.", "success");
          this.page.refresh();
        }), { "data-key": "check" }),
        button("Propagate", guarded(() => this.page.propagate()), { className: "main", disabled: this.page.busy, "data-key": "propagate" })),
    );
  }
}

