// The voxels of a large CT: they come in slabs, those next to the cursor first, and are drawn a slice at a time. NiiVue has
// a coarse copy below: one texture of them all would take a second for each change of the window, and half a gigabyte.
import { acrossOf } from "./labels.js";

const SLAB_BYTES = 8e6;
const HEADER_BYTES = 352;
const LEAST = -32768;

export class Voxels {
  constructor(image) {
    this.start = image.start;
    this.shape = image.sent;
    this.url = image.steps.at(-1).url;
    const [depth, height, width] = this.shape;
    this.array = new Int16Array(depth * height * width);
    this.thickness = Math.max(1, Math.floor(SLAB_BYTES / (2 * height * width)));
    this.there = new Uint8Array(depth);
    this.arrived = 0;
    this.pictures = new Map();
  }

  get complete() {
    return this.arrived === this.shape[0];
  }

  // The slices to ask for next, first and past the last; null if all are there.
  missing(near) {
    const last = this.shape[0] - 1;
    const at = Math.min(Math.max(Math.round(near) - this.start[0], 0), last);
    for (let away = 0; away <= last; away += 1) {
      for (const slice of [at + away, at - away]) {
        if (slice < 0 || slice > last || this.there[slice]) continue;
        const from = slice - (slice % this.thickness);
        return [from, Math.min(from + this.thickness, last + 1)];
      }
    }
    return null;
  }

  range([from, to]) {
    const bytes = 2 * this.shape[1] * this.shape[2];
    return [HEADER_BYTES + from * bytes, HEADER_BYTES + to * bytes];
  }

  put([from, to], buffer) {
    const size = this.shape[1] * this.shape[2];
    this.array.set(new Int16Array(buffer, 0, (to - from) * size), from * size);
    for (let slice = from; slice < to; slice += 1) {
      this.arrived += 1 - this.there[slice];
      this.there[slice] = 1;
    }
  }

  // HU at a voxel of the whole CT; undefined if it is not there.
  at(voxel) {
    const [z, y, x] = voxel.map((at, k) => at - this.start[k]);
    const [depth, height, width] = this.shape;
    if (z < 0 || y < 0 || x < 0 || z >= depth || y >= height || x >= width || !this.there[z]) return undefined;
    return this.array[(z * height + y) * width + x];
  }

  // A slice as a picture, clear where it did not arrive yet; null if nothing of it is there.
  picture(axis, index, window) {
    const slice = index - this.start[axis];
    if (slice < 0 || slice >= this.shape[axis] || (axis === 0 && !this.there[slice])) return null;
    const key = `${slice} ${window} ${axis === 0 ? "" : this.arrived}`;
    const known = this.pictures.get(axis);
    if (known?.key === key) return known.canvas;
    const [row, column] = acrossOf(axis);
    const [rows, columns] = [this.shape[row], this.shape[column]];
    const canvas = known?.canvas ?? document.createElement("canvas");
    if (canvas.width !== columns || canvas.height !== rows) [canvas.width, canvas.height] = [columns, rows];
    const pixels = new ImageData(columns, rows);
    this.fill(new Uint32Array(pixels.data.buffer), axis, slice, this.grays(window));
    canvas.getContext("2d", { willReadFrequently: true }).putImageData(pixels, 0, 0);
    this.pictures.set(axis, { key, canvas });
    return canvas;
  }

  fill(pixels, axis, slice, grays) {
    const [, height, width] = this.shape;
    const strides = [height * width, width, 1];
    const [row, column] = acrossOf(axis);
    for (let r = 0, to = 0; r < this.shape[row]; r += 1) {
      let from = slice * strides[axis] + r * strides[row];
      if (row === 0 && !this.there[r]) {
        to += this.shape[column];
        continue;
      }
      for (let c = 0; c < this.shape[column]; c += 1, to += 1, from += strides[column]) {
        pixels[to] = grays[this.array[from] - LEAST];
      }
    }
  }

  // What each HU looks like, from the least a voxel can have: opaque greys.
  grays(window) {
    const key = String(window);
    if (this.shades?.key !== key) {
      const [low, high] = window;
      const table = new Uint32Array(65536);
      for (let at = 0; at < table.length; at += 1) {
        const share = (at + LEAST - low) / Math.max(high - low, 1);
        const gray = Math.round(Math.min(Math.max(share, 0), 1) * 255);
        table[at] = 0xff000000 | (gray << 16) | (gray << 8) | gray;
      }
      this.shades = { key, table };
    }
    return this.shades.table;
  }
}
