// The support: choose a CT, name structures, paint; after each stroke what it grows into.
import { button, byId, make, replaceKeepingFocus, swatch } from "./dom.js";
import { guarded, show } from "./messages.js";
import { get, getPacked, post, postPacked } from "./server.js";

const USUAL_SHARE = 0.5;

export class Support {
  constructor(page) {
    this.page = page;
    this.offer = null;
    this.draft = null;
    this.volumes = {};
    this.findings = [];
    this.growing = false;
    this.said = "";
    this.asked = 0;
  }

  get locked() {
    return this.page.state.read_only || Boolean(this.page.state.reader);
  }

  open = guarded(async () => {
    byId("loading").hidden = false;
    try {
      const [offer, draft] = await Promise.all([this.offer ?? get("/api/cts"), getPacked("/api/support")]);
      this.offer = offer;
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
    if (viewer.image?.key !== draft.image.key) {
      if (!(await viewer.show(draft.image)) || this.page.tab !== "support") return;
    }
    this.page.painter.lineDone();
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
    await this.page.delivered(); // a stroke of this tab's own is no news
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
        hint: "A few on each structure, some on the background around.",
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
    const entry = this.page.outbox.put({ url: "/api/support/stroke", body: { stroke, key: this.draft.key } });
    return this.send(entry);
  }

  send = guarded(async (entry) => {
    const done = await this.page.deliver(entry);
    if (!this.draft || this.draft.key !== done.key) return;
    const { viewer } = this.page;
    this.page.painter.lineDone();
    if (done.repeated || done.number > this.draft.number + 1) {
      await this.take(await getPacked("/api/support")); // another tab painted, too
      this.page.refresh();
      this.grow();
      return;
    }
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
      this.said = grown.waiting ?? grown.text;
      if (grown.waiting) return;
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
    for (const { number, name, key } of this.offer?.cts ?? []) {
      list.append(make("option", { value: String(number), selected: this.draft?.key === key }, name));
    }
    list.addEventListener("change", guarded(() => list.value && this.choose(Number(list.value))));
    const hint = this.draft ? null : make("p", { className: "details" }, "One CT is the support: a few strokes in it are propagated to all others.");
    const leftOut = this.offer?.left_out ?? [];
    return make(
      "div", {}, hint, this.series(),
      make("label", { for: "ct" }, "CT of the support"), make("div", { className: "row" }, list),
      leftOut.length ? make("details", {}, make("summary", {}, "Not used"), make("ul", { className: "details" }, ...leftOut.map((line) => make("li", {}, line)))) : null,
    );
  }

  // Folders with several CT series: one of each is used, or none.
  series() {
    const folders = this.offer?.folders ?? [];
    if (!folders.length) return null;
    const fields = folders.map(({ name, series }, folder) => {
      const list = make("select", {
        id: `series-${folder}`, "data-key": `series ${folder}`, disabled: this.locked || this.page.busy,
        onchange: guarded(async (event) => {
          this.offer = await post("/api/cts/series", { folder, series: Number(event.target.value) });
          this.page.refresh();
        }),
      });
      list.append(make("option", { value: "-1" }, "not used"));
      series.forEach(({ text, chosen }, number) => list.append(make("option", { value: String(number), selected: chosen }, text)));
      return make("div", { className: "row" }, make("label", { for: `series-${folder}` }, name), list);
    });
    const open = folders.filter(({ series }) => !series.some(({ chosen }) => chosen)).length;
    const text = open ? `${open} of ${folders.length} folders with several CT series are not used: choose one; the same is chosen in the others.` : "Folders with several CT series:";
    return make("div", { className: "scroll series", tabindex: 0, role: "region", "aria-label": "Series" }, make("p", {}, text), ...fields);
  }

  offerChanged = guarded(async () => {
    this.offer = null;
    if (this.page.tab !== "support") return;
    this.offer = await get("/api/cts");
    this.page.refresh();
  });

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
        make("span", { className: "ml" }, Object.hasOwn(this.volumes, one.name) ? `${this.volumes[one.name].toFixed(1)} ml` : ""),
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
      make("p", { className: "details", id: "growth" }, this.growthText()),
    ];
  }

  growthText() {
    if (this.growing) return "Growing…";
    if (!this.draft.box && !this.draft.strokes) return "No strokes yet.";
    return this.said;
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

