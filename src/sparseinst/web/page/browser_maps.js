/** The activation maps of what was found, as `activation.py` makes them: which pixels spoke for each object. */

/**
 * @param {Float32Array} logits - (groups * slots, height, width) of one picture: group g of slot n is at g * slots + n.
 * @param {[number, number]} grid - height and width of a map over the padded frame.
 * @param {number[]} chosen - the slots that became objects.
 * @param {{groups: number, slots: number, activation: "sigmoid" | "softmax"}} network
 * @param sizes - of `frameOf`.
 * @returns {{groups: number, height: number, width: number, places: number[][], peaks: number[][], cells: Uint8Array}}
 *   a grey picture of all maps, objects downwards and groups across, each from 0 to its own peak; only cells that reach
 *   into the picture, and for each object what they cover of it: x0, y0, x1, y1.
 */
export function activationCells(logits, grid, chosen, { groups, slots, activation }, { frame, resized, original }) {
  const extent = grid.map((cells, axis) => (cells * resized[axis]) / frame[axis]);
  const [height, width] = extent.map(Math.ceil);
  const places = chosen.map(() => [0, 0, (width * original[1]) / extent[1], (height * original[0]) / extent[0]]);
  const cells = new Uint8Array(chosen.length * height * groups * width);
  const size = grid[0] * grid[1];
  const valueOf = activation === "softmax" ? softmax : sigmoid;
  const peaks = chosen.map((slot, number) =>
    Array.from({ length: groups }, (_, group) => {
      const at = (group * slots + slot) * size;
      const map = valueOf(logits.subarray(at, at + size));
      let peak = 0;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) peak = Math.max(peak, map[y * grid[1] + x]);
      }
      for (let y = 0; y < height; y++) {
        const to = ((number * height + y) * groups + group) * width;
        for (let x = 0; x < width; x++) cells[to + x] = Math.round((255 * map[y * grid[1] + x]) / (peak || 1));
      }
      return peak;
    }),
  );
  return { groups, height, width, places, peaks, cells };
}

/** The probability of each cell. */
function sigmoid(logits) {
  return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
}

/** The share of each cell. */
function softmax(logits) {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const values = logits.map((logit) => Math.exp(logit - largest));
  const sum = values.reduce((a, b) => a + b);
  return values.map((value) => value / sum);
}
