// What lies over the CT: contours of the mask, strokes, the line that is being painted, the brush.
import { cssColor } from "./dom.js";

const CONTOUR_PIXELS = 2;
const FAINT = 0.55;
const CURSOR = "rgb(110 190 255 / 0.75)";
const GAP_PIXELS = 14;
const LETTER = "rgb(190 204 217)";
const SIDES = { 0: ["I", "S"], 1: ["A", "P"], 2: ["R", "L"] };

export function drawOverlay(viewer) {
  const context = viewer.overlay.getContext("2d", { willReadFrequently: true });
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, viewer.overlay.width, viewer.overlay.height);
  const ratio = viewer.overlay.width / Math.max(viewer.overlay.clientWidth, 1);
  for (const tile of viewer.tiles()) {
    context.save();
    context.beginPath();
    context.rect(tile.left, tile.top, tile.width, tile.height);
    context.clip();
    drawTile(context, viewer, tile, ratio);
    context.restore();
  }
}

function drawTile(context, viewer, tile, ratio) {
  const placed = new DOMMatrix([tile.scaleX, 0, 0, tile.scaleY, tile.offsetX, tile.offsetY]);
  const onScreen = (path) => {
    const moved = new Path2D();
    moved.addPath(path, placed);
    return moved;
  };
  drawVoxels(context, viewer, tile);
  drawSides(context, tile, ratio);
  const { mask, strokes, emphasised } = viewer;
  if (viewer.fill) {
    for (const [value, path] of mask.filled(tile.axis, tile.index)) {
      context.fillStyle = cssColor(mask.colors.get(value) ?? [1, 1, 1], opacityOf(value, emphasised) * viewer.fill);
      context.fill(onScreen(path));
    }
  }
  context.lineWidth = CONTOUR_PIXELS * ratio;
  for (const [value, path] of mask.contours(tile.axis, tile.index)) {
    context.strokeStyle = cssColor(mask.colors.get(value) ?? [1, 1, 1], opacityOf(value, emphasised));
    context.stroke(onScreen(path));
  }
  for (const [value, path] of strokes.filled(tile.axis, tile.index)) {
    context.fillStyle = cssColor(strokes.colors.get(value) ?? [1, 1, 1], 0.75);
    context.fill(onScreen(path));
  }
  drawCursor(context, viewer, tile, ratio);
  if (viewer.line && viewer.line.axis === tile.axis && Math.round(viewer.line.points[0][tile.axis]) === tile.index) {
    drawLine(context, viewer, tile);
  }
  if (viewer.brush && viewer.brush.axis === tile.axis) drawBrush(context, viewer, tile, ratio);
}

// The slice of a large CT, as far as it arrived, over the coarse one.
function drawVoxels(context, viewer, tile) {
  const { voxels } = viewer;
  const picture = voxels?.picture(tile.axis, tile.index, viewer.window);
  if (!picture) return;
  context.save();
  context.transform(tile.scaleX, 0, 0, tile.scaleY, tile.offsetX, tile.offsetY);
  context.drawImage(picture, voxels.start[tile.column] - 0.5, voxels.start[tile.row] - 0.5);
  context.restore();
}

// What lies to the left and at the top: arrays go to the head, the back and the left.
function drawSides(context, tile, ratio) {
  const nameOf = (axis, scale) => SIDES[axis][scale > 0 ? 0 : 1];
  context.fillStyle = LETTER;
  context.font = `${13 * ratio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const gap = 10 * ratio;
  context.fillText(nameOf(tile.column, tile.scaleX), tile.left + gap, tile.top + tile.height / 2);
  context.fillText(nameOf(tile.row, tile.scaleY), tile.left + tile.width / 2, tile.top + gap);
}

const opacityOf = (value, emphasised) => (!emphasised || value === emphasised ? 1 : FAINT);

function place(tile, voxel) {
  return [tile.offsetX + voxel[tile.column] * tile.scaleX, tile.offsetY + voxel[tile.row] * tile.scaleY];
}

function pixelsOf(viewer, tile, mm) {
  return (mm / viewer.image.spacing[tile.column]) * Math.abs(tile.scaleX);
}

// The cursor's lines, open around it: what lies under it is to be seen.
function drawCursor(context, viewer, tile, ratio) {
  const [x, y] = place(tile, viewer.cursor());
  const gap = GAP_PIXELS * ratio;
  context.lineWidth = ratio;
  context.strokeStyle = CURSOR;
  context.beginPath();
  for (const [x0, y0, x1, y1] of [
    [tile.left, y, x - gap, y], [x + gap, y, tile.left + tile.width, y],
    [x, tile.top, x, y - gap], [x, y + gap, x, tile.top + tile.height],
  ]) {
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
  }
  context.stroke();
}

function drawLine(context, viewer, tile) {
  const { points, color, width, kind } = viewer.line;
  const outline = kind === "outline";
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = outline ? 2 : Math.max(pixelsOf(viewer, tile, width), 2);
  context.strokeStyle = cssColor(color, outline ? 1 : 0.75);
  context.beginPath();
  context.moveTo(...place(tile, points[0]));
  for (const point of points) context.lineTo(...place(tile, point));
  if (outline) {
    context.closePath(); // what it encloses is filled
    context.fillStyle = cssColor(color, 0.3);
    context.fill();
  }
  context.stroke();
}

function drawBrush(context, viewer, tile, ratio) {
  const { voxel, width, color, kind } = viewer.brush;
  if (kind === "outline") return;
  context.lineWidth = 1.5 * ratio;
  context.strokeStyle = cssColor(color, 1);
  context.beginPath();
  context.arc(...place(tile, voxel), Math.max(pixelsOf(viewer, tile, width) / 2, 2), 0, 2 * Math.PI);
  context.stroke();
}
