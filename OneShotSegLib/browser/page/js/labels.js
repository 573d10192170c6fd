// Labels on the CT's grid [z, y, x], kept for the part that has some; contours and voxels of one slice as paths.

const AXES = { 0: [1, 2], 1: [0, 2], 2: [0, 1] };

// Rows and columns of a slice at right angles to an axis: coronal and sagittal slices have z as rows.
export const acrossOf = (axis) => AXES[axis];

export class Labels {
  constructor(shape) {
    this.shape = shape;
    this.box = null;
    this.voxels = new Uint8Array(0);
    this.colors = new Map();
    this.names = new Map();
    this.version = 0;
    this.paths = new Map();
  }

  describe(segments) {
    for (const { value, name, color } of segments) {
      this.colors.set(value, color);
      this.names.set(value, name);
    }
    this.changed();
  }

  changed() {
    this.version += 1;
    this.paths.clear();
  }

  clear() {
    this.box = null;
    this.voxels = new Uint8Array(0);
    this.changed();
  }

  // Replaces a part: what lies outside of it stays.
  patch(box, voxels) {
    if (!box || box.some(([low, high]) => low >= high)) return;
    const whole = this.box ? box.map(([a, b], k) => [Math.min(a, this.box[k][0]), Math.max(b, this.box[k][1])]) : box;
    if (!this.box || whole.some(([a, b], k) => a !== this.box[k][0] || b !== this.box[k][1])) {
      const [d, h, w] = whole.map(([a, b]) => b - a);
      const grown = new Uint8Array(d * h * w);
      if (this.box) copyPart(this.voxels, this.box, grown, whole);
      this.box = whole;
      this.voxels = grown;
    }
    copyPart(voxels, box, this.voxels, this.box);
    this.changed();
  }

  at(z, y, x) {
    if (!this.box || [z, y, x].some((at, k) => at < this.box[k][0] || at >= this.box[k][1])) return 0;
    const [[z0], [y0, y1], [x0, x1]] = this.box;
    return this.voxels[((z - z0) * (y1 - y0) + (y - y0)) * (x1 - x0) + (x - x0)];
  }

  // The values of a slice within the box: rows, columns, and where they begin.
  slice(axis, index) {
    if (!this.box || index < this.box[axis][0] || index >= this.box[axis][1]) return null;
    const size = this.box.map(([a, b]) => b - a);
    const strides = [size[1] * size[2], size[2], 1];
    const [r, c] = acrossOf(axis);
    const first = (index - this.box[axis][0]) * strides[axis];
    const values = new Uint8Array(size[r] * size[c]);
    for (let row = 0, to = 0; row < size[r]; row += 1) {
      let from = first + row * strides[r];
      for (let column = 0; column < size[c]; column += 1, to += 1, from += strides[c]) values[to] = this.voxels[from];
    }
    return { values, rows: size[r], columns: size[c], top: this.box[r][0], left: this.box[c][0] };
  }

  // Value to a path along the voxels' edges, in voxels of the slice: x is the column, y the row.
  contours(axis, index) {
    return this.kept(`contours ${axis} ${index}`, () => outlined(this.slice(axis, index)));
  }

  // Value to a path that covers its voxels.
  filled(axis, index) {
    return this.kept(`filled ${axis} ${index}`, () => covered(this.slice(axis, index)));
  }

  kept(key, compute) {
    if (!this.paths.has(key)) {
      if (this.paths.size > 60) this.paths.clear();
      this.paths.set(key, compute());
    }
    return this.paths.get(key);
  }
}

function copyPart(from, fromBox, to, toBox) {
  const [d, h, w] = fromBox.map(([a, b]) => b - a);
  const [, H, W] = toBox.map(([a, b]) => b - a);
  const [z, y, x] = fromBox.map(([a], k) => a - toBox[k][0]);
  for (let i = 0; i < d; i += 1) {
    for (let j = 0; j < h; j += 1) {
      const at = (i * h + j) * w;
      to.set(from.subarray(at, at + w), ((i + z) * H + j + y) * W + x);
    }
  }
}

function pathOf(paths, value) {
  if (!paths.has(value)) paths.set(value, new Path2D());
  return paths.get(value);
}

function outlined(slice) {
  const paths = new Map();
  if (!slice) return paths;
  const { values, rows, columns, top, left } = slice;
  const at = (r, c) => (r < 0 || c < 0 || r >= rows || c >= columns ? 0 : values[r * columns + c]);
  const edge = (value, x0, y0, x1, y1) => {
    const path = pathOf(paths, value);
    path.moveTo(x0, y0);
    path.lineTo(x1, y1);
  };
  // Edges between rows, joined as long as both sides stay the same; then those between columns.
  for (let r = 0; r <= rows; r += 1) {
    for (let c = 0; c < columns; ) {
      const above = at(r - 1, c);
      const below = at(r, c);
      let end = c + 1;
      while (end < columns && at(r - 1, end) === above && at(r, end) === below) end += 1;
      if (above !== below) {
        const [x0, x1, y] = [left + c - 0.5, left + end - 0.5, top + r - 0.5];
        if (above) edge(above, x0, y, x1, y);
        if (below) edge(below, x0, y, x1, y);
      }
      c = end;
    }
  }
  for (let c = 0; c <= columns; c += 1) {
    for (let r = 0; r < rows; ) {
      const before = at(r, c - 1);
      const after = at(r, c);
      let end = r + 1;
      while (end < rows && at(end, c - 1) === before && at(end, c) === after) end += 1;
      if (before !== after) {
        const [y0, y1, x] = [top + r - 0.5, top + end - 0.5, left + c - 0.5];
        if (before) edge(before, x, y0, x, y1);
        if (after) edge(after, x, y0, x, y1);
      }
      r = end;
    }
  }
  return paths;
}

function covered(slice) {
  const paths = new Map();
  if (!slice) return paths;
  const { values, rows, columns, top, left } = slice;
  for (let r = 0; r < rows; r += 1) {
    for (let c = 0; c < columns; ) {
      const value = values[r * columns + c];
      let end = c + 1;
      while (end < columns && values[r * columns + end] === value) end += 1;
      if (value) pathOf(paths, value).rect(left + c - 0.5, top + r - 0.5, end - c, 1);
      c = end;
    }
  }
  return paths;
}
