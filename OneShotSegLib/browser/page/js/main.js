// The page: its parts, what is open, and what the server tells.
import { Deliver } from "./deliver.js";
import { button, byId } from "./dom.js";
import { listenForKeys } from "./keys.js";
import { guarded, show } from "./messages.js";
import { Painter } from "./painter.js";
import { Readers } from "./readers.js";
import { Review } from "./review.js";
import { addLine, isBusy, setLines, showRun } from "./run.js";
import { Outbox, get, listen, post, postPacked } from "./server.js";
import { Support } from "./support.js";
import { beginTheme } from "./theme.js";
import { buildToolbar } from "./toolbar.js";
import { Viewer } from "./viewer.js";

const TABS = { support: "Support", review: "Review", readers: "Readers", deliver: "Deliver" };

class Page {
  constructor(state) {
    this.state = state;
    this.tab = "";
    this.gone = false;
    this.sending = new Set();
    this.viewer = new Viewer(byId("gl"), byId("overlay"));
    this.outbox = new Outbox(state.study.path + (state.reader ? ` ${state.reader}` : ""));
  }

  async begin() {
    try {
      await this.viewer.begin();
    } catch (error) {
      show(`The images cannot be shown: ${error.message} The page needs WebGL 2.`, "error");
      throw error;
    }
    this.painter = new Painter(this.viewer);
    this.parts = { support: new Support(this), review: new Review(this), readers: new Readers(this), deliver: new Deliver(this) };
    this.viewer.onMoved = (voxel) => this.showPlace(voxel);
    buildToolbar(this.viewer);
    listenForKeys(this);
    this.showHead();
    setLines(this.state.log);
    showRun(this.state.run, this.mayCancel);
    listen((event) => this.take(event), (sentence) => this.lost(sentence));
    // What is being painted or written when the page is closed or loaded anew is kept.
    addEventListener("pagehide", () => {
      this.painter.finish();
      this.parts.review.saveComment();
    });
    const wanted = location.hash.slice(1);
    await this.open(wanted in TABS ? wanted : this.state.rows.length ? "review" : "support");
    await this.sendWaiting();
  }

  get busy() {
    return isBusy(this.state.run);
  }

  get mayCancel() {
    return !this.state.read_only;
  }

  showHead() {
    byId("study").textContent = this.state.study.name;
    byId("study").title = this.state.study.path;
    document.title = `${this.state.study.name} - OneShotSeg`;
    const who = [this.state.read_only ? "read-only" : "", this.state.reader ? `reader: ${this.state.reader}` : ""].filter(Boolean);
    byId("who").hidden = !who.length;
    byId("who").textContent = who.join(", ");
  }

  async open(tab) {
    if (this.tab !== tab) {
      this.painter.use(null);
      this.tab = tab;
      history.replaceState(null, "", `#${tab}`);
    }
    byId("tabs").replaceChildren(...Object.entries(TABS).map(([name, text]) =>
      button(text, () => this.open(name), { "aria-current": name === tab ? "page" : null })));
    this.refresh();
    if (tab === "review") {
      const first = this.parts.review.row ?? this.state.rows.find((row) => row.open) ?? this.state.rows[0];
      this.parts.review.shown = null;
      await this.parts.review.select(first?.case ?? "");
    } else await this.parts[tab].open();
  }

  refresh() {
    if (!this.parts) return;
    this.parts[this.tab]?.render(byId("side"));
    byId("empty").hidden = Boolean(this.viewer.image);
  }

  act(action) {
    if (this.tab === "review") this.parts.review.do(action);
    else if (this.tab === "support" && action === "undo") this.parts.support.undo();
  }

  showPlace(voxel) {
    const [z, y, x] = voxel.map((at) => Math.round(at));
    const name = this.viewer.mask.names.get(this.viewer.mask.at(z, y, x));
    const hu = this.viewer.hounsfield([z, y, x]);
    const words = [`Slice ${z + 1} of ${this.viewer.image.shape[0]}`, `x ${x}, y ${y}, z ${z}`, hu === undefined ? "" : `${hu} HU`, name];
    byId("where").textContent = words.filter(Boolean).join(" · ");
  }

  // --- what the server tells ---

  take(event) {
    const actions = {
      hello: () => {
        if (this.gone) show("The server is back.", "success");
        this.gone = false;
        const { kind, ...state } = event;
        this.state = { ...this.state, ...state };
        this.rowsCame();
        showRun(this.state.run, this.mayCancel);
        this.sendWaiting();
      },
      rows: () => {
        const { kind, ...rows } = event;
        this.state = { ...this.state, ...rows };
        this.rowsCame();
      },
      run: () => {
        const was = this.busy;
        this.state.run = event.run;
        showRun(event.run, this.mayCancel);
        if (was !== this.busy) this.refresh();
      },
      log: () => addLine(event.line),
      support: () => this.parts.support.changed(event.number),
      exported: () => this.parts.deliver.exported(event),
      report: () => show("The report is written.", "success"),
      error: () => show(event.text, "error"),
    };
    actions[event.kind]?.();
  }

  rowsCame() {
    this.parts.review.rowsChanged();
    this.refresh();
  }

  lost(sentence) {
    this.gone = true;
    show(sentence, "error");
  }

  async propagate() {
    setLines([]);
    this.state.run = await post("/api/propagate");
    showRun(this.state.run, this.mayCancel);
    if (this.tab === "support") show("Propagating. Cases appear under Review as they are done, the doubtful ones first.");
    this.refresh();
  }

  // --- strokes: each waits in the browser's memory until it is on the server's disk ---

  async deliver(entry) {
    this.sending.add(entry.id);
    try {
      const done = await postPacked(entry.url, { ...entry.body, id: entry.id });
      this.outbox.remove(entry);
      return done;
    } catch (error) {
      if (error.offline || error.status === 401) throw error; // it waits
      this.outbox.remove(entry);
      this.viewer.line = null;
      this.viewer.redraw();
      throw error;
    } finally {
      this.sending.delete(entry.id);
    }
  }

  sendWaiting = guarded(async () => {
    const waiting = this.outbox.waiting.filter((entry) => !this.sending.has(entry.id));
    if (!waiting.length || this.resending) return;
    this.resending = true;
    try {
      for (const entry of waiting) await this.deliver(entry);
      this.viewer.line = null;
    } finally {
      this.resending = false;
    }
    show("Strokes that the server had not got yet are there now.", "success");
    await this.open(this.tab);
  });
}

beginTheme();
guarded(async () => {
  const page = new Page(await get("/api/state"));
  await page.begin();
  document.body.dataset.ready = "true";
})();
