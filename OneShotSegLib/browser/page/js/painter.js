// Strokes by pointer or keys: a line in one plane, in voxels of the CT, and a brush in mm.
import { button, byId, make, swatch } from "./dom.js";

const LEAST_STEP_PIXELS = 1.5;
const SIZES = { least: 1, most: 40, usual: 6 };
const KINDS = { line: "Brush", ball: "3D brush", outline: "Outline" };

export class Painter {
  constructor(viewer) {
    this.viewer = viewer;
    this.tool = null;
    this.value = 0;
    this.plane = 0;
    this.sizes = new Map();
    this.kind = "line";
    this.range = { used: false, low: -160, high: 240 };
    this.line = null;
    this.pointer = null;
    viewer.painter = this;
    this.connect();
  }

  // Begins to paint with a tool: what it is, what may be painted, and what is done with a stroke. Null ends it.
  use(tool, value = undefined) {
    this.tool = tool;
    this.drop();
    this.viewer.overlay.classList.toggle("active", Boolean(tool));
    this.viewer.brush = null;
    if (tool) {
      const known = tool.segments.map((segment) => segment.value);
      this.value = known.includes(value) ? value : known.includes(this.value) ? this.value : known[0];
    }
    this.show();
    this.viewer.redraw();
  }

  get segment() {
    return this.tool?.segments.find((segment) => segment.value === this.value);
  }

  get width() {
    return this.sizes.get(this.value) ?? this.tool?.suggest?.(this.value) ?? SIZES.usual;
  }

  choose(value) {
    this.value = value;
    this.show();
  }

  resize(factor) {
    const width = Math.min(Math.max(this.width * factor, SIZES.least), SIZES.most);
    this.sizes.set(this.value, Math.round(width * 10) / 10);
    this.show();
  }

  // The HU that are painted alone; null for all.
  get within() {
    const { used, low, high } = this.range;
    return used ? [Math.min(low, high), Math.max(low, high)] : null;
  }

  turnKind() {
    const kinds = Object.keys(KINDS);
    this.kind = kinds[(kinds.indexOf(this.kind) + 1) % kinds.length];
    this.drop();
    this.show();
  }

  // Between slices across the plane that was painted in last: a stroke without a line.
  fillBetween() {
    if (!this.tool?.fills || this.line) return;
    this.tool.onStroke({ value: this.value, axis: this.plane, points: [], width_mm: this.width, kind: "between", within: this.within });
  }

  show() {
    const bar = byId("painting");
    bar.hidden = !this.tool;
    if (!this.tool) return;
    const choice = make("select", { id: "label", "data-key": "label", onchange: (event) => this.choose(Number(event.target.value)) });
    for (const { value, name } of this.tool.segments) {
      choice.append(make("option", { value: String(value), selected: value === this.value }, name));
    }
    const size = make("input", {
      type: "range", id: "brush", min: SIZES.least, max: SIZES.most, step: 0.5, "data-key": "brush",
      oninput: (event) => {
        this.sizes.set(this.value, Number(event.target.value));
        byId("brushSize").textContent = `${this.width.toFixed(1)} mm`;
        this.viewer.redraw();
      },
    });
    size.value = String(this.width);
    const kind = make("select", {
      id: "kind", "data-key": "kind",
      onchange: (event) => {
        this.kind = event.target.value;
        this.drop();
        this.show();
      },
    });
    for (const [name, text] of Object.entries(KINDS)) kind.append(make("option", { value: name, selected: name === this.kind }, text));
    const focused = bar.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    bar.replaceChildren(
      make("strong", {}, this.tool.title),
      make("label", {}, "Paint ", this.segment ? swatch(this.segment.color) : null, choice),
      make("label", {}, "With ", kind),
      this.kind === "outline" ? "" : make("label", {}, "Size ", size, make("output", { id: "brushSize", for: "brush" }, `${this.width.toFixed(1)} mm`)),
      this.rangeFields(),
      ...(this.tool.fills ? [button("Fill between slices (F)", () => this.fillBetween(), { "data-key": "between", disabled: !this.value })] : []),
      ...(this.tool.onEnd ? [button("Stop painting (Esc)", () => this.tool?.onEnd(), { "data-key": "stop" })] : []),
      make("span", { className: "details" }, this.tool.hint ?? ""),
    );
    if (focused) bar.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  // Only what has these HU is painted.
  rangeFields() {
    const number = (name, text) => {
      const field = make("input", {
        type: "number", id: `hu-${name}`, "data-key": `hu-${name}`, step: 1, min: -32768, max: 32767, "aria-label": text, disabled: !this.range.used,
        oninput: (event) => {
          const value = event.target.valueAsNumber;
          if (Number.isFinite(value)) this.range[name] = Math.min(Math.max(Math.round(value), -32768), 32767);
        },
      });
      field.value = String(this.range[name]);
      return field;
    };
    const used = make("input", {
      type: "checkbox", id: "hu", "data-key": "hu", checked: this.range.used,
      onchange: (event) => {
        this.range.used = event.target.checked;
        this.show();
      },
    });
    return make("span", { className: "range" }, used, make("label", { for: "hu" }, "Only"),
      ...(this.range.used ? [number("low", "Least HU"), "to", number("high", "Greatest HU")] : []), "HU");
  }

  connect() {
    const { overlay, canvas } = this.viewer;
    overlay.addEventListener("pointerdown", (event) => this.down(event));
    overlay.addEventListener("pointermove", (event) => this.move(event));
    overlay.addEventListener("pointerup", () => this.finish());
    overlay.addEventListener("pointercancel", () => this.drop());
    overlay.addEventListener("pointerleave", () => {
      this.viewer.brush = null;
      this.viewer.redraw();
    });
    overlay.addEventListener("contextmenu", (event) => event.preventDefault());
    overlay.addEventListener("wheel", (event) => this.forward(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.keyDown(event), { capture: true });
    canvas.addEventListener("keyup", (event) => this.keyUp(event), { capture: true });
    canvas.addEventListener("blur", () => this.finish());
  }

  forward(event) {
    event.preventDefault();
    if (event.ctrlKey) this.resize(event.deltaY < 0 ? 1.15 : 1 / 1.15);
    else this.viewer.canvas.dispatchEvent(new WheelEvent("wheel", event));
  }

  down(event) {
    if (!this.tool || event.button !== 0) return;
    const found = this.viewer.under(event.clientX, event.clientY);
    if (!found) return;
    event.preventDefault();
    this.viewer.canvas.focus({ preventScroll: true });
    if (event.shiftKey) {
      this.viewer.moveTo(found.voxel);
      return;
    }
    this.viewer.overlay.setPointerCapture(event.pointerId);
    this.plane = found.tile.axis;
    this.pointer = [event.clientX, event.clientY];
    this.begin(found.voxel);
  }

  move(event) {
    if (!this.tool) return;
    const found = this.viewer.under(event.clientX, event.clientY);
    this.viewer.brush = found
      ? { axis: found.tile.axis, voxel: found.voxel, width: this.width, color: this.segment?.color ?? [1, 1, 1], kind: this.kind }
      : null;
    if (this.line && this.pointer && found && found.tile.axis === this.plane) {
      const [x, y] = this.pointer;
      if (Math.hypot(event.clientX - x, event.clientY - y) >= LEAST_STEP_PIXELS) {
        this.pointer = [event.clientX, event.clientY];
        this.line.points.push(found.voxel);
      }
    }
    this.viewer.redraw();
  }

  begin(voxel) {
    this.line = {
      axis: this.plane, points: [voxel], color: this.segment?.color ?? [1, 1, 1], width: this.width, value: this.value, kind: this.kind,
    };
    this.viewer.line = this.line;
    this.viewer.redraw();
  }

  // The stroke is done: it is shown until whoever gets it has it on the screen.
  finish() {
    const { line, tool } = this;
    this.line = this.pointer = null;
    if (!line || !tool) return;
    const stroke = { value: line.value, axis: line.axis, points: rounded(line.points), width_mm: line.width, kind: line.kind, within: this.within };
    tool.onStroke(stroke);
  }

  drop() {
    this.line = this.pointer = this.viewer.line = null;
    this.viewer.redraw();
  }

  keyDown(event) {
    const moves = {
      ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves) this.step(event, moves[event.key]);
    else if (event.key === "PageUp" || event.key === "PageDown") this.turn(event, event.key === "PageUp" ? 1 : -1);
    else if (["1", "2", "3"].includes(event.key)) this.plane = Number(event.key) - 1;
    else if (event.key === " " && this.tool) {
      if (!this.line) this.begin(this.viewer.cursor());
    } else if (event.key === "Escape" && this.line) this.drop();
    else if (this.tool && event.key in TOOL_KEYS) TOOL_KEYS[event.key](this);
    else return;
    event.preventDefault();
    if (event.key !== "Escape") event.stopPropagation();
  }

  keyUp(event) {
    if ((event.key === " " || event.key === "Shift") && !this.pointer) this.finish();
  }

  step(event, [down, right]) {
    const tile = this.viewer.tiles().find((one) => one.axis === this.plane) ?? this.viewer.tiles()[0];
    if (!tile) return;
    const paints = this.tool && event.shiftKey;
    if (paints && !this.line) {
      this.plane = tile.axis;
      this.begin(this.viewer.cursor());
    }
    const voxel = this.viewer.cursor();
    voxel[tile.row] += down * Math.sign(tile.scaleY) * this.viewer.every;
    voxel[tile.column] += right * Math.sign(tile.scaleX) * this.viewer.every;
    this.viewer.moveTo(voxel);
    if (this.line) {
      this.line.points.push(this.viewer.cursor());
      this.viewer.redraw();
    }
  }

  turn(event, by) {
    if (this.line) return;
    const voxel = this.viewer.cursor();
    voxel[this.plane] += by * this.viewer.every;
    this.viewer.moveTo(voxel);
  }
}

const rounded = (points) => points.map((point) => point.map((at) => Math.round(at * 100) / 100));

const TOOL_KEYS = {
  b: (painter) => painter.turnKind(),
  f: (painter) => painter.fillBetween(),
  "+": (painter) => painter.resize(1.15),
  "-": (painter) => painter.resize(1 / 1.15),
};
