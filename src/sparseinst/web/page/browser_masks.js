/**
 * From mask probabilities on the network's grid to run-length codes of the picture, as `masks/paste.py` does it.
 *
 * A mask is brought to the frame and then to the picture, bilinearly both times; what is above the threshold counts. No
 * dense mask of the picture's size is made: down a column of the picture a mask begins or ends only between two grid
 * rows of which one is above the threshold and the other is not, and two straight lines tell where exactly.
 */

import { withoutSmallPieces } from "./browser_pieces.js";

/**
 * How the columns of a picture come from those of the grid: each from at most three neighbours.
 * @param {number} grid - columns of the grid.
 * @param sizes - of `frameOf`.
 */
export function columnsOf(grid, { frame, resized, original }) {
  const width = original[1];
  const first = new Int32Array(width);
  const weights = new Float64Array(3 * width);
  for (let x = 0; x < width; x++) {
    const outer = lerpAt(x, resized[1] / width, resized[1]);
    const inner = [outer.low, outer.high].map((column) => lerpAt(column, grid / frame[1], grid));
    first[x] = inner[0].low;
    for (const [i, share] of [1 - outer.share, outer.share].entries()) {
      weights[3 * x + inner[i].low - first[x]] += share * (1 - inner[i].share);
      weights[3 * x + inner[i].high - first[x]] += share * inner[i].share;
    }
  }
  return { first, weights };
}

/** Where a place lies on an axis of `count` values, `scale` times as dense: two neighbours, the share of the second. */
function lerpAt(place, scale, count) {
  const position = Math.min(Math.max((place + 0.5) * scale - 0.5, 0), count - 1);
  const low = Math.trunc(position);
  return { low, high: Math.min(low + 1, count - 1), share: position - low };
}

/**
 * Encodes one mask.
 * @param {Float32Array} mask - height * width probabilities over the padded frame, row by row.
 * @param {[number, number]} grid - height and width of the mask.
 * @param columns - of `columnsOf` for these sizes.
 * @param sizes - of `frameOf`.
 * @param {number} threshold - 0..1; a pixel above it belongs to the mask.
 * @param {number} leastPiece - 0..1; pieces below this share of the mask's area are left out.
 * @returns {{counts: string, area: number, bbox: number[]} | null} compressed COCO code, pixels, and x, y, width,
 *   height; null where no pixel belongs to the mask.
 */
export function encodeMask(mask, grid, columns, sizes, threshold, leastPiece) {
  const limit = Math.fround(threshold);
  const window = windowOf(mask, grid, sizes, limit);
  if (!window) return null;
  const edges = edgesOf(mask, grid, window, columns, sizes, limit);
  return edges.length ? describe(withoutSmallPieces(edges, sizes.original[0], leastPiece), sizes.original) : null;
}

/** Rows of the grid that matter to the picture, the others being padding. */
function rowsUsed(grid, { frame, resized }) {
  const last = ((resized[0] - 0.5) * grid) / frame[0] - 0.5;
  return Math.min(grid, Math.trunc(Math.max(last, 0)) + 2);
}

/** Grid rows and columns (ends exclusive) where a mask is above the threshold, and the rows that its outline needs. */
function windowOf(mask, [height, width], sizes, limit) {
  const used = rowsUsed(height, sizes);
  let [top, bottom, left, right] = [used, 0, width, 0];
  for (let y = 0; y < used; y++) {
    const row = y * width;
    let x = 0;
    while (x < width && !(mask[row + x] > limit)) x++;
    if (x === width) continue;
    let end = width;
    while (!(mask[row + end - 1] > limit)) end--;
    [top, bottom, left, right] = [Math.min(top, y), y + 1, Math.min(left, x), Math.max(right, end)];
  }
  const margin = 1 + Math.ceil(height / sizes.frame[0]);
  return bottom && { top: Math.max(top - margin, 0), bottom: Math.min(bottom + margin, used), left, right, used };
}

/** Places in column order where the mask begins or ends, ascending: begin, end, begin, ... */
function edgesOf(mask, [height, width], window, { first, weights }, sizes, limit) {
  const { top, bottom, left, right, used } = window;
  const rows = sizes.original[0];
  const column = new Float64Array(bottom - top);
  const edges = [];
  const add = (edge) => {
    if (edges.at(-1) === edge) edges.pop(); // what ends where the next part begins is one part
    else edges.push(edge);
  };
  for (let x = 0; x < first.length; x++) {
    if (first[x] + 2 < left) continue;
    if (first[x] >= right) break;
    const [a, b, c] = [weights[3 * x], weights[3 * x + 1], weights[3 * x + 2]];
    for (let y = 0, at = top * width + first[x]; y < column.length; y++, at += width) {
      column[y] = a * mask[at] + (b && b * mask[at + 1]) + (c && c * mask[at + 2]);
    }
    let inside = false;
    for (let y = 0; y < column.length; y++) {
      if (column[y] > limit === inside) continue;
      inside = !inside;
      add(x * rows + (top + y === 0 ? 0 : pictureRow(column, y - 1, top, height, sizes, limit)));
    }
    if (inside && bottom === used) add((x + 1) * rows);
  }
  return edges;
}

/** First row of the picture beyond an edge, which lies between `column[y]` and the next. */
function pictureRow(column, y, top, grid, { frame, resized, original }, limit) {
  const below = firstBeyond(column[y], column[y + 1], top + y, frame[0] / grid, limit);
  if (below < 1) return 0;
  if (below >= resized[0]) return original[0];
  const [upper, lower] = [below - 1, below].map((row) => {
    const { low, high, share } = lerpAt(row, grid / frame[0], grid);
    const [above, next] = [column[low - top], column[Math.min(high - top, column.length - 1)]];
    return above + (next - above) * share;
  });
  return Math.min(Math.max(firstBeyond(upper, lower, below - 1, original[0] / resized[0], limit), 0), original[0]);
}

/** First place, of those `scale` times as dense, where the line from `upper` at `row` to `lower` below is across. */
function firstBeyond(upper, lower, row, scale, limit) {
  const share = (limit - upper) / (lower - upper);
  const inside = Number.isNaN(share) ? 0.5 : Math.min(Math.max(share, 0), 1);
  const position = (row + inside + 0.5) * scale - 0.5;
  const after = Math.trunc(position + 1);
  // A value equal to the threshold is not above it: a mask begins after that place, and ends at it.
  return lower <= limit && after === position + 1 ? after - 1 : after;
}

/**
 * A mask's code, area and box.
 * @param {number[]} edges - places in column order where it begins or ends, ascending: begin, end, begin, ...
 * @param {[number, number]} size - height and width of the picture.
 * @returns {{counts: string, area: number, bbox: number[]}} as of `encodeMask`.
 */
export function describe(edges, [height, width]) {
  let area = 0;
  let [top, bottom] = [height, 0];
  const runs = [];
  for (let i = 0, place = 0; i <= edges.length; i++) {
    const end = i < edges.length ? edges[i] : height * width;
    if (i < edges.length || end > place) runs.push(end - place);
    if (i % 2) {
      area += end - place;
      const whole = Math.floor(place / height) !== Math.floor((end - 1) / height); // more than one column
      top = whole ? 0 : Math.min(top, place % height);
      bottom = whole ? height : Math.max(bottom, ((end - 1) % height) + 1);
    }
    place = end;
  }
  const left = Math.floor(edges[0] / height);
  const right = Math.floor((edges.at(-1) - 1) / height) + 1;
  return { counts: compress(runs), area, bbox: [left, top, right - left, bottom - top] };
}

/** The compressed COCO code of runs: from the fourth on differences to the one before the last, five bits a letter. */
function compress(runs) {
  let text = "";
  for (let i = 0; i < runs.length; i++) {
    let value = i > 2 ? runs[i] - runs[i - 2] : runs[i];
    for (let more = true; more; ) {
      const part = value & 31;
      value >>= 5;
      more = value !== (part & 16 ? -1 : 0);
      text += String.fromCharCode(48 + part + (more ? 32 : 0));
    }
  }
  return text;
}
