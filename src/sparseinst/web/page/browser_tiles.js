/** Pictures that are too large for one pass at native scale, in tiles: the same as `inference/tiles.py` makes. */

import { frameOf } from "./browser_prepare.js";

/** Of an overlap a third is the object, and a third on either side what is seen around it. */
const ONE_MARGIN = 3;

/**
 * How a picture is cut.
 * @param {[number, number]} size - height and width of the picture.
 * @param {{preprocess: object, tiles: {tile: number, overlap: number, align: number} | null}} network - `preprocess`
 *   as for `frameOf`, with one_pass_px at native scale; `tiles` are the largest that one pass holds.
 * @returns {{windows: {top: number, bottom: number, left: number, right: number}[], margin: number}} the tiles row by
 *   row, ends exclusive, only one where one pass holds the picture; and how many pixels around an object a tile has to
 *   show if it is to be believed more than one that shows less.
 */
export function cut(size, { preprocess, tiles }) {
  const whole = { top: 0, bottom: size[0], left: 0, right: size[1] };
  if (!tiles || fitsOnePass(size, preprocess)) return { windows: [whole], margin: 0 };
  const { overlap, align } = tiles;
  const tile = noLargerThanNeeded(size, tiles);
  const [rows, columns] = size.map((side) => startsOf(side, { tile, overlap, align }));
  const windows = rows.flatMap((top) =>
    columns.map((left) => ({
      top,
      bottom: Math.min(top + tile, size[0]),
      left,
      right: Math.min(left + tile, size[1]),
    })),
  );
  return { windows, margin: Math.max(1, Math.floor(overlap / ONE_MARGIN)) };
}

/**
 * The pixels of a window.
 * @param {Uint8ClampedArray} rgba - of the whole picture, row by row.
 * @param {number} width - of the picture.
 * @returns {Uint8Array} likewise.
 */
export function pixelsOf(rgba, width, { top, bottom, left, right }) {
  const stride = 4 * (right - left);
  const pixels = new Uint8Array((bottom - top) * stride);
  for (let y = top; y < bottom; y++) {
    const from = 4 * (y * width + left);
    pixels.set(rgba.subarray(from, from + stride), (y - top) * stride);
  }
  return pixels;
}

function fitsOnePass(size, preprocess) {
  const { scale, frame_hw, one_pass_px } = preprocess;
  if (!frame_hw) return size[0] * size[1] * scale ** 2 <= one_pass_px ** 2;
  const free = frameOf(size, { ...preprocess, frame_hw: null }).resized;
  return frameOf(size, preprocess).resized.every((side, axis) => side === free[axis]);
}

/** The smallest tile that needs no more tiles than the largest, of whole network pixels as that is. */
function noLargerThanNeeded(size, { tile, overlap, align }) {
  const unit = commonDivisor(overlap, align);
  const furthest = Math.floor((tile - overlap) / align) * align;
  const least = size.map((side) => {
    const count = 1 + Math.max(0, Math.ceil((side - tile) / furthest));
    // At their best distance tiles overlap just enough and reach just the end; it is a multiple of `align`, too.
    const below = Math.floor(Math.floor((side - overlap) / count) / align) * align;
    const distances = [below, below + align].filter((step) => step <= furthest);
    return Math.min(...distances.map((step) => Math.max(step + overlap, side - (count - 1) * step)));
  });
  return Math.min(tile, Math.ceil(Math.max(...least) / unit) * unit);
}

function commonDivisor(a, b) {
  return b ? commonDivisor(b, a % b) : a;
}

/** Where tiles begin along a side: the fewest, spread so that overlaps are alike, at multiples of `align`. */
function startsOf(side, { tile, overlap, align }) {
  const furthest = Math.floor((tile - overlap) / align) * align;
  const steps = Math.max(0, Math.ceil((side - tile) / furthest));
  if (!steps) return [0];
  const exact = Array.from({ length: steps + 1 }, (_, step) => Math.floor((step * (side - tile)) / steps));
  return exact.map((start) => Math.ceil(start / align) * align);
}
