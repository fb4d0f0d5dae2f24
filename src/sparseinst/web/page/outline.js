/** Outlines of masks as vector paths, so that they stay sharp at any zoom. */
import { eachColumn } from "./rle.js";

/** East, south, west, north: each edge has the mask on its right. */
const STEPS = [[1, 0], [0, 1], [-1, 0], [0, -1]];

/**
 * The borders of a mask along the edges of its pixels, holes included.
 * @param {Uint32Array} runs - foreground runs in column order.
 * @param {number} height - of the image.
 * @returns {number[][]} closed loops, each x0, y0, x1, y1, ... of its corners in pixels.
 */
export function trace(runs, height) {
  const grid = cutOut(runs, height);
  const loops = [];
  for (let at = 0; at < grid.edges.length; at++) {
    // every loop has an edge to the east: its topmost
    while (grid.edges[at] & 1) loops.push(follow(grid, at));
  }
  return loops;
}

/** A quadratic spline along the corners: staircases become slopes, and no point moves by half a pixel. */
export function smoothPath(loops) {
  const path = new Path2D();
  for (const loop of loops) {
    const count = loop.length;
    for (let i = 0; i < count; i += 2) {
      const [x, y] = [loop[i], loop[i + 1]];
      const before = i ? i - 2 : count - 2;
      const after = i + 2 < count ? i + 2 : 0;
      const [inX, inY] = halfStep(x, y, loop[before], loop[before + 1]);
      const [outX, outY] = halfStep(x, y, loop[after], loop[after + 1]);
      if (i) path.lineTo(inX, inY);
      else path.moveTo(inX, inY);
      path.quadraticCurveTo(x, y, outX, outY);
    }
    path.closePath();
  }
  return path;
}

/** The mask within its box, and for each corner of its pixels the edges of the border that leave from there. */
function cutOut(runs, height) {
  let [left, top, right, bottom] = [Infinity, Infinity, 0, 0];
  eachColumn(runs, height, (x, y0, y1) => {
    left = Math.min(left, x);
    right = Math.max(right, x + 1);
    top = Math.min(top, y0);
    bottom = Math.max(bottom, y1);
  });
  if (!runs.length) return { edges: new Uint8Array(0) };
  const rows = bottom - top + 2; // with a margin of background all around
  const mask = new Uint8Array((right - left + 2) * rows);
  eachColumn(runs, height, (x, y0, y1) => {
    const start = (x - left + 1) * rows - top + 1;
    mask.fill(1, start + y0, start + y1);
  });
  // the corner at place p is the upper left one of the pixel at p
  const edges = new Uint8Array(mask.length);
  for (let p = rows; p < mask.length - 1; p++) {
    if (!mask[p]) continue;
    if (!mask[p - 1]) edges[p] |= 1;
    if (!mask[p + rows]) edges[p + rows] |= 2;
    if (!mask[p + 1]) edges[p + rows + 1] |= 4;
    if (!mask[p - rows]) edges[p + 1] |= 8;
  }
  return { edges, rows, left: left - 1, top: top - 1 };
}

/** Follows the loop that begins with an edge to the east, and removes its edges. Parts that touch at a corner stay apart. */
function follow({ edges, rows, left, top }, start) {
  const corners = [];
  let at = start;
  let direction = 0;
  do {
    at += STEPS[direction][0] * rows + STEPS[direction][1];
    const next = [direction + 1, direction, direction + 3].map((d) => d & 3).find((d) => edges[at] & (1 << d));
    edges[at] &= ~(1 << next);
    if (next !== direction) corners.push(left + Math.floor(at / rows), top + (at % rows));
    direction = next;
  } while (at !== start || direction !== 0);
  return corners;
}

function halfStep(x, y, towardsX, towardsY) {
  return [x + Math.sign(towardsX - x) / 2, y + Math.sign(towardsY - y) / 2];
}
