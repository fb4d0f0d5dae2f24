/** From pixels to the network's input: bit for bit what `data/geometry.py` makes of pictures of 8 bits a channel. */

const MULTIPLE_PX = 32;
const MOST_BITS = 22;

/**
 * The sizes, each [height, width], that a picture is brought to.
 * @param {[number, number]} original - height and width of the picture.
 * @param {{kind: "short_side", short_px: number, long_px: number, frame_hw: [number, number] | null} |
 *   {kind: "native", scale: number, frame_hw: [number, number] | null}} settings
 * @returns {{frame: [number, number], resized: [number, number], original: [number, number]}} the padded frame, the
 *   picture within it from its top left corner, and the picture itself.
 */
export function frameOf([height, width], settings) {
  const { kind, scale, frame_hw } = settings;
  let sides = kind === "native" ? [height * scale, width * scale] : byShortSide(height, width, settings);
  if (frame_hw) {
    const shrink = Math.min(1, frame_hw[0] / sides[0], frame_hw[1] / sides[1]);
    sides = sides.map((side) => side * shrink);
  }
  const resized = sides.map((side) => Math.max(1, Math.trunc(side + 0.5)));
  const frame = frame_hw ?? resized.map((side) => Math.ceil(side / MULTIPLE_PX) * MULTIPLE_PX);
  return { frame, resized, original: [height, width] };
}

function byShortSide(height, width, { short_px, long_px }) {
  const scale = short_px / Math.min(height, width);
  const sides = height < width ? [short_px, scale * width] : [scale * height, short_px];
  const longest = Math.max(...sides);
  return longest > long_px ? sides.map((side) => side * (long_px / longest)) : sides;
}

/**
 * Resizes a picture and pads it with 0 at the bottom and right.
 * @param {Uint8Array | Uint8ClampedArray} rgba - height * width * 4 values, row by row; alpha is dropped.
 * @param {[number, number]} original - height and width.
 * @param settings - as of `frameOf`.
 * @returns {{pixels: Uint8Array, sizes: object}} (3, frame height, frame width) RGB; the sizes of `frameOf`.
 */
export function prepare(rgba, original, settings) {
  const sizes = frameOf(original, settings);
  const across = resizeRows(rgba, original, sizes.resized[1]);
  return { pixels: resizeColumns(across, original[0], sizes), sizes };
}

/**
 * A bilinear filter that grows when the picture shrinks (antialiasing), in fixed point.
 * @returns {{starts: Int32Array, sizes: Int32Array, weights: Int32Array, taps: number, bits: number}} for each place
 *   its first pixel, the number of its pixels and `taps` weights, which add up to about 2 ** bits.
 */
function filterOf(from, to) {
  const scale = from / to;
  const support = Math.max(scale, 1);
  const taps = 2 * Math.ceil(support) + 1;
  const starts = new Int32Array(to);
  const sizes = new Int32Array(to);
  const exact = new Float64Array(to * taps);
  let largest = 0;
  for (let i = 0; i < to; i++) {
    const centre = scale * (i + 0.5);
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const size = Math.min(Math.trunc(centre + support + 0.5), from) - start;
    const weights = exact.subarray(i * taps, i * taps + size);
    let sum = 0;
    for (let j = 0; j < size; j++) {
      weights[j] = Math.max(0, 1 - Math.abs((j + start - centre + 0.5) / support));
      sum += weights[j];
    }
    for (let j = 0; j < size; j++) largest = Math.max(largest, (weights[j] /= sum));
    starts[i] = start;
    sizes[i] = size;
  }
  let bits = 0; // as many as keep every weight within 16 bits, sign included
  while (bits < MOST_BITS && Math.trunc(0.5 + largest * 2 ** (bits + 1)) < 2 ** 15) bits++;
  return { starts, sizes, weights: Int32Array.from(exact, (w) => Math.trunc(0.5 + w * 2 ** bits)), taps, bits };
}

/** (height, width, 4) to (height, to, 3). */
function resizeRows(rgba, [height, width], to) {
  const { starts, sizes, weights, taps, bits } = filterOf(width, to);
  const half = bits ? 1 << (bits - 1) : 0;
  const out = new Uint8ClampedArray(height * to * 3);
  for (let y = 0, place = 0; y < height; y++) {
    for (let x = 0; x < to; x++) {
      let red = half;
      let green = half;
      let blue = half;
      let at = 4 * (y * width + starts[x]);
      for (let tap = x * taps, end = tap + sizes[x]; tap < end; tap++, at += 4) {
        const weight = weights[tap];
        red += weight * rgba[at];
        green += weight * rgba[at + 1];
        blue += weight * rgba[at + 2];
      }
      out[place++] = red >> bits;
      out[place++] = green >> bits;
      out[place++] = blue >> bits;
    }
  }
  return out;
}

/** (from, resized width, 3) to (3, frame height, frame width). */
function resizeColumns(rows, from, { frame, resized }) {
  const [height, width] = resized;
  const { starts, sizes, weights, taps, bits } = filterOf(from, height);
  const half = bits ? 1 << (bits - 1) : 0;
  const out = new Uint8ClampedArray(3 * frame[0] * frame[1]);
  const sums = new Int32Array(3 * width);
  for (let y = 0; y < height; y++) {
    sums.fill(half);
    for (let j = 0; j < sizes[y]; j++) {
      const weight = weights[y * taps + j];
      const at = (starts[y] + j) * sums.length;
      for (let i = 0; i < sums.length; i++) sums[i] += weight * rows[at + i];
    }
    for (let channel = 0; channel < 3; channel++) {
      const at = (channel * frame[0] + y) * frame[1];
      for (let x = 0; x < width; x++) out[at + x] = sums[3 * x + channel] >> bits;
    }
  }
  return new Uint8Array(out.buffer);
}
