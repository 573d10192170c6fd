// The review: the doubtful cases first, decisions by keys, strokes around which a mask regrows.
import { button, byId, make, replaceKeepingFocus } from "./dom.js";
import { guarded, show } from "./messages.js";
import { bytes, casePath, get, getPacked, post, postPacked } from "./server.js";

const STATES = { pending: "pending", accepted: "accepted", rejected: "rejected", edited: "corrected" };
const COMMENT_MS = 1200;
const NAMES = {
  next: "Next", previous: "Previous", accept: "Accept", reject: "Reject", edit: "Edit", regrow: "Regrow", undo: "Undo",
};

export class Review {
  constructor(page) {
    this.page = page;
    this.current = "";
    this.shown = null;
    this.unreadable = "";
    this.structure = "";
    this.ahead = new Map();
    this.comment = { timer: 0, text: null };
    this.wanted = 0;
  }

  get rows() {
    return this.page.state.rows;
  }

  get row() {
    return this.rows.find((row) => row.case === this.current);
  }

  get readOnly() {
    return this.page.state.read_only;
  }

  // --- what is shown beside the images ---

  render(side) {
    const results = this.rows.filter((row) => !row.failed);
    const decided = results.filter((row) => !row.open).length;
    const caption = results.length
      ? `${decided} of ${results.length} cases reviewed`
      : "No cases yet: paint strokes under Support and propagate them.";
    replaceKeepingFocus(
      side,
      make("h2", {}, "Review"),
      this.table(caption),
      this.row ? this.details(this.row) : null,
      this.readOnly ? null : this.again(),
    );
  }

  table(caption) {
    const body = this.rows.map((row) =>
      make(
        "tr", { className: row.case === this.current ? "chosen" : "" },
        make("td", {}, button(row.case, () => this.select(row.case), {
          "data-key": `case ${row.case}`, "aria-current": row.case === this.current ? "true" : null,
        })),
        make("td", {}, make("span", { className: `score ${row.level}` }, row.failed ? "–" : row.score.toFixed(2))),
        make("td", {}, row.worst),
        make("td", {}, row.failed ? "failed" : row.suggested ? "correct first" : STATES[row.state]),
      ));
    const heads = ["Case", "Score", "Look at", "State"].map((text) => make("th", { scope: "col" }, text));
    const table = make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...body));
    return make("div", { className: "scroll", tabindex: 0, role: "region", "aria-label": "Cases" }, table);
  }

  details(row) {
    const off = !this.isShown;
    const stroking = this.page.painter.tool?.name === "regrow";
    const editing = this.page.painter.tool?.name === "edit";
    const decide = (action, disabled, extra = {}) => button(`${NAMES[action]} (${keyOf(action)})`, () => this.do(action), { disabled, "data-key": action, ...extra });
    const parts = [make("h3", {}, row.case), make("p", { className: "details" }, row.details)];
    const said = Object.entries(row.decisions).filter(([, decision]) => decision);
    if (said.length) parts.push(make("p", {}, said.map(([name, decision]) => `${name}: ${decision}`).join(", ")));
    const steps = [decide("previous", false), decide("next", false)];
    if (this.readOnly) return make("div", {}, ...parts, make("div", { className: "buttons" }, ...steps), row.comment ? make("p", {}, row.comment) : null);
    const field = make("textarea", {
      id: "comment", "data-key": "comment", disabled: row.failed, rows: 2,
      oninput: (event) => this.commentLater(row.case, event.target.value),
      onblur: () => this.saveComment(),
    });
    field.value = this.comment.case === row.case && this.comment.text !== null ? this.comment.text : row.comment;
    return make(
      "div", {}, ...parts,
      make("div", { className: "buttons" }, ...steps,
        decide("accept", off, { className: "main" }),
        decide("reject", off && this.unreadable !== row.case),
        decide("edit", off, { "aria-pressed": String(editing) }),
        decide("regrow", off, { "aria-pressed": String(stroking) }),
        decide("undo", false)),
      make("label", { for: "comment" }, "Comment"), field,
    );
  }

  again() {
    const busy = this.page.busy;
    const mayRun = !this.page.state.reader && this.rows.length > 0;
    return make(
      "div", { className: "buttons" },
      button("Use corrections: propagate again", guarded(() => this.page.propagate()), { disabled: busy || !mayRun, "data-key": "again" }),
    );
  }

  // --- the case that is looked at ---

  get isShown() {
    const { row } = this;
    return Boolean(row && !row.failed && this.shown && this.shown.case === row.case && this.shown.version === row.version);
  }

  select = guarded(async (name) => {
    if (!name) return;
    if (name !== this.current) {
      this.stopPainting();
      await this.saveComment();
    }
    this.current = name;
    this.unreadable = "";
    this.page.refresh();
    const { row } = this;
    if (!row || row.failed) return;
    this.wanted += 1;
    const wanted = this.wanted;
    const started = performance.now();
    byId("loading").hidden = false;
    try {
      const ready = this.ahead.get(name)?.version === row.version ? this.ahead.get(name).ready : this.fetch(name);
      this.ahead.delete(name);
      const { image, buffer, mask } = await ready;
      if (wanted !== this.wanted) return;
      if (this.page.viewer.image?.key !== image.key && !(await this.page.viewer.show(image, buffer))) return;
      this.put(mask);
      this.lookAt(row.worst);
      this.note(image, mask);
      document.body.dataset.case = name;
      document.body.dataset.milliseconds = String(Math.round(performance.now() - started));
    } catch (error) {
      if (wanted === this.wanted) this.unreadable = name;
      throw error;
    } finally {
      if (wanted === this.wanted) byId("loading").hidden = true;
      this.page.refresh();
    }
    await this.rowsChanged(); // those that came while it was loaded
    this.prefetch();
  });

  async fetch(name) {
    const [image, mask] = await Promise.all([get(casePath(name, "image")), getPacked(casePath(name, "mask"))]);
    const known = this.page.viewer.image?.key === image.key;
    return { image, mask, buffer: known ? null : await bytes(image.steps[0].url) };
  }

  prefetch() {
    const next = this.nextOpen(this.current) ?? this.neighbour(1);
    if (!next || next.case === this.current || next.failed || this.ahead.has(next.case)) return;
    this.ahead.clear();
    const ready = this.fetch(next.case);
    ready.catch(() => this.ahead.delete(next.case)); // what cannot be read is said when the case is looked at
    this.ahead.set(next.case, { version: next.version, ready });
  }

  put(mask) {
    const { viewer } = this.page;
    viewer.mask.clear();
    viewer.mask.describe(mask.segments);
    viewer.mask.patch(mask.box, mask.voxels);
    viewer.labelsChanged();
    this.shown = { case: mask.case, version: mask.version, centres: mask.centres };
  }

  note(image, mask) {
    const notes = [...image.notes, ...mask.notes];
    if (notes.length) show(notes.join("\n"), "warning");
  }

  lookAt(name) {
    const { viewer } = this.page;
    const centre = this.shown?.centres[name] ?? Object.values(this.shown?.centres ?? {})[0];
    this.structure = name;
    viewer.emphasised = [...viewer.mask.names].find(([, other]) => other === name)?.[0] ?? 0;
    viewer.labelsChanged();
    if (centre) viewer.moveTo(centre);
    if (this.page.painter.tool && viewer.emphasised) this.page.painter.choose(viewer.emphasised);
  }

  // New rows came: what is on the screen is loaded anew if its mask is another one by now.
  async rowsChanged() {
    const { row } = this;
    if (!row) this.current = "";
    if (!row || row.failed || this.page.tab !== "review" || !this.shown || this.shown.case !== row.case) return;
    if (this.shown.version !== row.version && !this.sending) await this.reload();
  }

  reload = guarded(async () => {
    const name = this.current;
    const mask = await getPacked(casePath(name, "mask"));
    if (name !== this.current) return;
    this.put(mask);
    this.page.refresh();
  });

  nextOpen(name) {
    const at = this.rows.findIndex((row) => row.case === name) + 1;
    return [...this.rows.slice(at), ...this.rows.slice(0, at)].find((row) => row.open && row.case !== name);
  }

  neighbour(step) {
    const at = this.rows.findIndex((row) => row.case === this.current);
    return this.rows[at < 0 ? 0 : Math.min(Math.max(at + step, 0), this.rows.length - 1)];
  }

  // --- what keys and buttons do ---

  do = guarded(async (action) => {
    const actions = {
      next: () => this.select(this.neighbour(1)?.case),
      previous: () => this.select(this.neighbour(-1)?.case),
      accept: () => this.decide("accept"),
      reject: () => this.decide("reject"),
      edit: () => this.toggle("edit"),
      regrow: () => this.toggle("regrow"),
      undo: () => this.undo(),
      next_structure: () => this.stepStructure(1),
      previous_structure: () => this.stepStructure(-1),
      accept_structure: () => this.decideStructure("accepted"),
      doubt_structure: () => this.decideStructure("doubtful"),
      reject_structure: () => this.decideStructure("rejected"),
    };
    await actions[action]?.();
  });

  stepStructure(step) {
    const { row } = this;
    if (!row?.order.length || !this.isShown) return;
    const at = row.order.indexOf(this.structure);
    const next = at < 0 ? 0 : (at + step + row.order.length) % row.order.length;
    this.lookAt(row.order[next]);
  }

  // The same once more takes it back.
  async decideStructure(decision) {
    const name = this.current;
    if (this.readOnly) throw new Error("This page is read-only.");
    if (!this.isShown) throw new Error("Its CT and mask are not on the screen yet: look before you decide.");
    const body = { structure: this.structure, decision, seen: this.shown.version };
    const { notes, next } = await post(casePath(name, "structure"), body);
    if (next) this.lookAt(next);
    else show(`${name}: all structures are decided; Accept (A) takes those that are not rejected.`);
    if (notes.length) show(notes.join("\n"), "warning");
  }

  async decide(what) {
    const name = this.current;
    if (!name) throw new Error("Select a case in the table first.");
    if (this.readOnly) throw new Error("This page is read-only.");
    await this.sending;
    if (!this.isShown && !(what === "reject" && this.unreadable === name)) {
      this.select(name);
      throw new Error(`${name}: its CT and mask are not on the screen yet: look before you decide.`);
    }
    await this.saveComment();
    const body = { do: what, seen: this.shown?.version ?? "", unreadable: this.unreadable === name };
    const { notes, next } = await post(casePath(name, "decision"), body);
    this.stopPainting();
    if (next) await this.select(next);
    else show("All cases are reviewed.", "success");
    if (notes.length) show(notes.join("\n"), "warning");
  }

  toggle(name) {
    if (this.readOnly) throw new Error("This page is read-only.");
    if (this.page.painter.tool?.name === name) {
      this.stopPainting();
      return;
    }
    if (!this.isShown) throw new Error("Its CT and mask are not on the screen yet: look before you paint.");
    const regrows = name === "regrow";
    const segments = this.page.state.strokes;
    const erase = { value: 0, name: "Nothing (erase)", color: [1, 1, 1] };
    if (regrows) post(casePath(this.current, "prepare")).catch(() => {});
    const chosen = this.page.viewer.emphasised || undefined;
    this.page.painter.use(
      {
        name,
        title: regrows ? "Regrow" : "Edit",
        hint: regrows
          ? "Paint a stroke of a structure where it is missing, or of Background where it is wrong: the mask regrows."
          : "What you paint is the mask, voxel by voxel.",
        fills: !regrows,
        segments: regrows ? segments : [...segments.filter((one) => !one.background), erase],
        onStroke: (stroke) => this.correct(name === "regrow" ? "stroke" : "paint", stroke),
        onEnd: () => this.do(name),
      },
      chosen,
    );
    this.page.viewer.canvas.focus({ preventScroll: true });
    this.page.refresh();
  }

  stopPainting() {
    if (["edit", "regrow"].includes(this.page.painter.tool?.name)) this.page.painter.use(null);
    this.page.refresh();
  }

  // A stroke waits in the browser's memory until the correction is on the server's disk.
  correct(how, stroke) {
    const entry = this.page.outbox.put({ url: casePath(this.current, how), body: { stroke } });
    this.sending = this.send(entry).finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  send = guarded(async (entry) => {
    const done = await this.page.deliver(entry);
    if (!done || done.case !== this.current) return;
    this.changed(done);
    show(done.text);
  });

  changed(done) {
    const { viewer } = this.page;
    viewer.line = null;
    if (done.box) viewer.mask.patch(done.box, done.voxels);
    if (this.shown) this.shown.version = done.version;
    const { row } = this;
    if (row) row.version = done.version;
    viewer.labelsChanged();
    this.page.refresh();
  }

  async undo() {
    if (this.readOnly) throw new Error("This page is read-only.");
    await this.sending;
    const done = await postPacked("/api/undo", { case: this.current });
    if (done.version && done.case === this.current) this.changed(done);
    else if (done.case) await this.select(done.case);
    if (done.text) show(done.text);
  }

  // --- comments: kept a moment after the last letter, and when anything else happens ---

  commentLater(name, text) {
    clearTimeout(this.comment.timer);
    this.comment = { case: name, text, timer: setTimeout(() => this.saveComment(), COMMENT_MS) };
  }

  saveComment = guarded(async () => {
    const { case: name, text, timer } = this.comment;
    clearTimeout(timer);
    if (text === null || text === undefined) return;
    this.comment = { timer: 0, text: null };
    await post(casePath(name, "comment"), { text });
  });
}

const KEY_OF = { next: "N", previous: "Shift+N", accept: "A", reject: "X", edit: "C", regrow: "R", undo: "U" };
const keyOf = (action) => KEY_OF[action];
