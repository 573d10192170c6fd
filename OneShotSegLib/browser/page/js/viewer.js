// The CT by NiiVue; where its voxels are on the screen; what is drawn over it.
import { DRAG_MODE, NVImage, Niivue, SHOW_RENDER, SLICE_TYPE } from "../vendor/niivue.js";
import { Labels, acrossOf } from "./labels.js";
import { drawOverlay } from "./overlay.js";
import { bytes } from "./server.js";
import { Voxels } from "./voxels.js";

export const WINDOWS = {
  "Soft tissue": [-160, 240],
  Brain: [0, 80],
  Bone: [-450, 1050],
  Lung: [-1350, 150],
  Abdomen: [-125, 225],
};

const { AXIAL, CORONAL, SAGITTAL, RENDER } = SLICE_TYPE;
export const LAYOUTS = {
  "Three planes": [
    { sliceType: AXIAL, position: [0, 0, 0.62, 1] },
    { sliceType: CORONAL, position: [0.62, 0, 0.38, 0.5] },
    { sliceType: SAGITTAL, position: [0.62, 0.5, 0.38, 0.5] },
  ],
  "Planes and 3D": [
    { sliceType: AXIAL, position: [0, 0, 0.5, 0.5] },
    { sliceType: CORONAL, position: [0.5, 0, 0.5, 0.5] },
    { sliceType: SAGITTAL, position: [0, 0.5, 0.5, 0.5] },
    { sliceType: RENDER, position: [0.5, 0.5, 0.5, 0.5] },
  ],
  Axial: [{ sliceType: AXIAL, position: [0, 0, 1, 1] }],
  Coronal: [{ sliceType: CORONAL, position: [0, 0, 1, 1] }],
  Sagittal: [{ sliceType: SAGITTAL, position: [0, 0, 1, 1] }],
  "3D": [{ sliceType: RENDER, position: [0, 0, 1, 1] }],
};
const THICK_MS = 250;
const TURN_PIXELS = 40;

export class Viewer {
  constructor(canvas, overlay) {
    this.canvas = canvas;
    this.overlay = overlay;
    this.image = null;
    this.mask = new Labels([1, 1, 1]);
    this.strokes = new Labels([1, 1, 1]);
    this.emphasised = 0;
    this.fill = 0.15;
    this.line = null;
    this.brush = null;
    this.layout = "Three planes";
    this.generation = 0;
    this.voxels = null;
    this.turned = 0;
    this.onMoved = () => {};
  }

  async begin() {
    this.nv = new Niivue({
      backColor: [0, 0, 0, 1],
      crosshairWidth: 0,
      fontColor: [0.75, 0.8, 0.85, 1],
      isRadiologicalConvention: true,
      isOrientationTextVisible: false,
      dragAndDropEnabled: false,
      multiplanarShowRender: SHOW_RENDER.NEVER,
      show3Dcrosshair: false,
      loadingText: "",
      logLevel: "error",
      clipPlaneHotKey: "",
      cycleClipPlaneHotKey: "",
      viewModeHotKey: "",
      tileMargin: 0,
      mouseEventConfig: {
        leftButton: { primary: DRAG_MODE.crosshair },
        rightButton: DRAG_MODE.windowing,
        centerButton: DRAG_MODE.pan,
      },
    });
    await this.nv.attachToCanvas(this.canvas);
    const draw = this.nv.drawScene.bind(this.nv);
    this.nv.drawScene = (...given) => {
      this.snap();
      this.clearPlanes();
      const drawn = draw(...given);
      this.redraw();
      return drawn;
    };
    this.canvas.addEventListener("wheel", (event) => this.turn(event), { capture: true, passive: false });
    this.setLayout(this.layout);
  }

  // Loads a CT: the coarse file first, where there is one. True once it is on the screen, unless another was asked for.
  async show(image, ahead = null) {
    this.generation += 1;
    const generation = this.generation;
    const [first] = image.steps;
    const buffer = await (ahead ?? bytes(first.url));
    if (generation !== this.generation) return false;
    const sameGrid = this.image && String(this.image.shape) === String(image.shape);
    const at = sameGrid ? null : image.shape.map((size) => (size - 1) / 2);
    const volume = await volumeOf(buffer, first.url);
    if (generation !== this.generation) return false;
    this.place(image, first, volume);
    this.mask = new Labels(image.shape);
    this.strokes = new Labels(image.shape);
    if (at) this.moveTo(at);
    setTimeout(() => this.fetchVoxels()); // once the cursor is where it is wanted: what lies there comes first
    return true;
  }

  // The voxels of a large CT, as far as they did not come yet. Where they stay away, the coarse CT stays.
  async fetchVoxels() {
    const { voxels, image } = this;
    if (!voxels || voxels.complete || voxels.coming) return;
    voxels.coming = true;
    try {
      for (let part = voxels.missing(this.cursor()[0]); part; part = voxels.missing(this.cursor()[0])) {
        const buffer = await bytes(voxels.url, voxels.range(part));
        if (voxels !== this.voxels) return;
        voxels.put(part, buffer);
        this.redraw();
      }
      this.canvas.dataset.whole = image.key;
    } catch (error) {
      console.info(`The whole CT did not come: ${error.message}`); // what may be done about it is said elsewhere
    } finally {
      voxels.coming = false;
    }
  }

  place(image, step, volume) {
    const window = this.nv.volumes[0] ? [this.nv.volumes[0].cal_min, this.nv.volumes[0].cal_max] : WINDOWS["Soft tissue"];
    for (const other of [...this.nv.volumes]) this.nv.volumes.splice(this.nv.volumes.indexOf(other), 1);
    [volume.cal_min, volume.cal_max] = window;
    this.image = image;
    this.step = step;
    this.voxels = image.steps.length > 1 ? new Voxels(image) : null;
    this.thick = null;
    this.nv.addVolume(volume);
    this.canvas.dataset.shown = image.key;
    if (!this.voxels) this.canvas.dataset.whole = image.key;
    this.schedule3D();
  }

  setWindow([low, high]) {
    const [volume] = this.nv.volumes;
    if (!volume) return;
    volume.cal_min = low;
    volume.cal_max = high;
    this.nv.updateGLVolume();
  }

  get window() {
    const [volume] = this.nv.volumes;
    return volume ? [volume.cal_min, volume.cal_max] : null;
  }

  setLayout(name) {
    this.layout = name;
    this.nv.setCustomLayout(LAYOUTS[name]);
    this.schedule3D();
  }

  get shows3D() {
    return LAYOUTS[this.layout].some((tile) => tile.sliceType === RENDER);
  }

  // --- places: voxel indices [z, y, x] of the whole CT, fractions of NiiVue's texture (x right, y front, z up) ---

  get sent() {
    const { dims } = this.nv.volumes[0].hdr;
    return [dims[3], dims[2], dims[1]];
  }

  toVoxel(fraction) {
    const [d, h, w] = this.sent;
    const { start } = this.image;
    const { every } = this.step;
    const sent = [fraction[2] * d - 0.5, (1 - fraction[1]) * h - 0.5, (1 - fraction[0]) * w - 0.5];
    return sent.map((at, k) => start[k] + every * at);
  }

  toFraction(voxel) {
    const [d, h, w] = this.sent;
    const { start } = this.image;
    const { every } = this.step;
    const [z, y, x] = voxel.map((at, k) => (at - start[k]) / every + 0.5);
    return [1 - x / w, 1 - y / h, z / d];
  }

  // How far apart the slices are that can be shown, in voxels: CT and contours are of one slice.
  get every() {
    return this.voxels?.complete ? 1 : this.step.every;
  }

  hounsfield(voxel) {
    if (this.voxels) return this.voxels.at(voxel);
    const [depth, height, width] = this.sent;
    const [z, y, x] = voxel.map((at, k) => at - this.image.start[k]);
    if (z < 0 || y < 0 || x < 0 || z >= depth || y >= height || x >= width) return undefined;
    return this.nv.volumes[0].img[(z * height + y) * width + x];
  }

  cursor() {
    return this.toVoxel(this.nv.scene.crosshairPos);
  }

  moveTo(voxel) {
    if (!this.image) return;
    const inside = voxel.map((at, k) => Math.min(Math.max(at, 0), this.image.shape[k] - 1));
    this.nv.scene.crosshairPos = this.toFraction(inside).map((at) => Math.min(Math.max(at, 0), 1));
    this.nv.drawScene();
  }

  // The label volume is for 3D: in the planes there are contours.
  clearPlanes() {
    for (const shader of [this.nv.sliceMMShader, this.nv.slice2DShader]) {
      if (!shader?.uniforms.overlays) continue;
      shader.use(this.nv.gl);
      this.nv.gl.uniform1f(shader.uniforms.overlays, 0);
    }
  }

  // The cursor lies in the middle of a voxel, so that CT and contours are of one slice.
  snap() {
    if (!this.image || !this.nv.volumes[0]) return;
    const { start, sent } = this.image;
    const { every } = this;
    const snapped = this.cursor().map((at, k) => {
      const step = Math.min(Math.max(Math.round((at - start[k]) / every), 0), Math.ceil(sent[k] / every) - 1);
      return start[k] + every * step;
    });
    this.nv.scene.crosshairPos = this.toFraction(snapped);
  }

  // The wheel changes the slice under the pointer, one at a time; in 3D it is NiiVue's.
  turn(event) {
    const found = event.ctrlKey ? null : this.under(event.clientX, event.clientY);
    if (!found) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.turned += event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY / TURN_PIXELS : Math.sign(event.deltaY);
    if (Math.abs(event.deltaY) >= TURN_PIXELS) this.turned = Math.sign(event.deltaY); // a mouse's, a notch at a time
    const steps = Math.trunc(this.turned);
    if (!steps) return;
    this.turned -= steps;
    const voxel = this.cursor();
    voxel[found.tile.axis] -= steps * this.every;
    this.moveTo(voxel);
  }

  // The planes on the screen: rectangle in pixels, axis, and how voxels lie in it.
  tiles() {
    if (!this.image || !this.nv.volumes[0]) return [];
    const found = [];
    this.nv.screenSlices.forEach((tile, number) => {
      if (tile.axCorSag > SAGITTAL) return;
      const [left, top, width, height] = tile.leftTopWidthHeight;
      const axis = tile.axCorSag;
      // Not at the corners: NiiVue takes those for outside when a fraction is rounded.
      const at = (share) => this.nv.screenXY2TextureFrac(left + share * width, top + share * height, number, false);
      const [first, last] = [this.toVoxel(at(0.25)), this.toVoxel(at(0.75))];
      const [row, column] = acrossOf(axis);
      const scaleX = (0.5 * width) / (last[column] - first[column]);
      const scaleY = (0.5 * height) / (last[row] - first[row]);
      if (!Number.isFinite(scaleX) || !Number.isFinite(scaleY)) return;
      found.push({
        axis, left, top, width, height, row, column, scaleX, scaleY,
        offsetX: left + 0.25 * width - first[column] * scaleX,
        offsetY: top + 0.25 * height - first[row] * scaleY,
        index: Math.round(this.cursor()[axis]),
      });
    });
    return found;
  }

  // The plane and the voxel under a position of the pointer, in pixels of the page.
  under(clientX, clientY) {
    const bounds = this.canvas.getBoundingClientRect();
    const x = ((clientX - bounds.left) / bounds.width) * this.canvas.width;
    const y = ((clientY - bounds.top) / bounds.height) * this.canvas.height;
    const tile = this.tiles().find((t) => x >= t.left && x < t.left + t.width && y >= t.top && y < t.top + t.height);
    if (!tile) return null;
    const voxel = [0, 0, 0];
    voxel[tile.axis] = tile.index;
    voxel[tile.row] = (y - tile.offsetY) / tile.scaleY;
    voxel[tile.column] = (x - tile.offsetX) / tile.scaleX;
    return { tile, voxel };
  }

  redraw() {
    if (this.overlay.width !== this.canvas.width || this.overlay.height !== this.canvas.height) {
      this.overlay.width = this.canvas.width;
      this.overlay.height = this.canvas.height;
    }
    drawOverlay(this);
    if (this.image) this.onMoved(this.cursor());
  }

  labelsChanged() {
    this.redraw();
    this.schedule3D();
  }

  // --- structures in 3D: a label volume of NiiVue's own, made only while a 3D view is open ---

  schedule3D() {
    clearTimeout(this.timer3D);
    this.timer3D = setTimeout(() => this.update3D(), THICK_MS);
  }

  update3D() {
    if (!this.image || !this.nv.volumes[0]) return;
    const wanted = this.shows3D && this.mask.box ? `${this.mask.version} ${this.emphasised}` : null;
    if (wanted === this.thick) return;
    this.thick = wanted;
    while (this.nv.volumes.length > 1) this.nv.removeVolume(this.nv.volumes[1]);
    if (wanted) this.addLabelVolume();
  }

  async addLabelVolume() {
    const [d, h, w] = this.sent;
    const { start } = this.image;
    const { every } = this.step;
    const voxels = new Uint8Array(d * h * w);
    const [z0, y0, x0] = this.mask.box.map(([low], k) => Math.max(Math.ceil((low - start[k]) / every), 0));
    const [z1, y1, x1] = this.mask.box.map(([, high], k) => Math.min(Math.ceil((high - start[k]) / every), [d, h, w][k]));
    for (let z = z0; z < z1; z += 1) {
      for (let y = y0; y < y1; y += 1) {
        for (let x = x0; x < x1; x += 1) {
          voxels[(z * h + y) * w + x] = this.mask.at(start[0] + z * every, start[1] + y * every, start[2] + x * every);
        }
      }
    }
    const { hdr } = this.nv.volumes[0];
    const file = NVImage.createNiftiArray([w, h, d], hdr.pixDims.slice(1, 4), hdr.affine.flat(), 2, voxels);
    const volume = await NVImage.loadFromUrl({ url: "mask.nii", name: "mask.nii", buffer: file.buffer ?? file });
    const known = [...this.mask.colors.keys()];
    volume.setColormapLabel({
      R: [0, ...known.map((value) => Math.round(this.mask.colors.get(value)[0] * 255))],
      G: [0, ...known.map((value) => Math.round(this.mask.colors.get(value)[1] * 255))],
      B: [0, ...known.map((value) => Math.round(this.mask.colors.get(value)[2] * 255))],
      A: [0, ...known.map(() => 255)],
      I: [0, ...known],
      labels: ["", ...known.map((value) => this.mask.names.get(value))],
    });
    volume.opacity = 1;
    this.nv.addVolume(volume);
  }
}

const volumeOf = (buffer, url) => NVImage.loadFromUrl({ url, name: "ct.nii", buffer });
