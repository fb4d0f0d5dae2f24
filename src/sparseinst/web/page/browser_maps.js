/** The activation maps of what was found, as `activation.py` makes them: which pixels spoke for each object. */

/**
 * @param {Float32Array} logits - (groups * slots, height, width) of one picture: group g of slot n is at g * slots + n.
 * @param {[number, number]} grid - height and width of a map over the padded frame.
 * @param {number[]} chosen - the slots that became objects.
 * @param {{groups: number, slots: number, activation: "sigmoid" | "softmax"}} network
 * @param sizes - of `frameOf`.
 * @returns {{groups: number, blocks: number[][], places: number[][], peaks: number[][], cells: Uint8Array}} for each
 *   object a grey picture of its maps, all in a row, each from 0 to its own peak, without the cells around that are
 *   nothing; the pictures of all objects one after the other. `blocks` are height and width of each map, `places`
 *   what it covers of the picture: x0, y0, x1, y1.
 */
export function activationCells(logits, grid, chosen, { groups, slots, activation }, { frame, resized, original }) {
  const cellPx = grid.map((cells, axis) => ((frame[axis] / cells) * original[axis]) / resized[axis]);
  const reach = grid.map((cells, axis) => Math.ceil((cells * resized[axis]) / frame[axis])); // into the picture
  const size = grid[0] * grid[1];
  const valueOf = activation === "softmax" ? softmax : sigmoid;
  const [blocks, places, peaks, pictures] = [[], [], [], []];
  for (const slot of chosen) {
    const maps = Array.from({ length: groups }, (_, group) => {
      const at = (group * slots + slot) * size;
      return grey(valueOf(logits.subarray(at, at + size)), grid[1], reach);
    });
    const window = windowOf(maps.map(({ values }) => values), reach);
    const { top, bottom, left, right } = window;
    blocks.push([bottom - top, right - left]);
    places.push([left * cellPx[1], top * cellPx[0], right * cellPx[1], bottom * cellPx[0]]);
    peaks.push(maps.map(({ peak }) => peak));
    pictures.push(inARow(maps.map(({ values }) => values), reach[1], window));
  }
  return { groups, blocks, places, peaks, cells: joinCells(pictures) };
}

/**
 * Some of the maps of several tiles.
 * @param {object[]} parts - of each tile, of `activationCells`.
 * @param {{top: number, left: number}[]} windows - the tiles.
 * @param {number[]} chosen - numbers of objects among those of all tiles in a row.
 * @returns likewise, of the picture.
 */
export function joinMaps(parts, windows, chosen) {
  const { groups } = parts[0];
  const all = parts.flatMap(({ blocks, places, peaks, cells }, tile) => {
    const { top, left } = windows[tile];
    let end = 0;
    return blocks.map(([rows, columns], i) => {
      const [x0, y0, x1, y1] = places[i];
      const picture = cells.subarray(end, (end += rows * groups * columns));
      return { block: blocks[i], place: [x0 + left, y0 + top, x1 + left, y1 + top], peaks: peaks[i], picture };
    });
  });
  const some = chosen.map((number) => all[number]);
  return {
    groups,
    blocks: some.map(({ block }) => block),
    places: some.map(({ place }) => place),
    peaks: some.map(({ peaks }) => peaks),
    cells: joinCells(some.map(({ picture }) => picture)),
  };
}

/** The cells of a map that reach into the picture, as shares of their peak in 0..255; and that peak. */
function grey(map, stride, [height, width]) {
  let peak = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) peak = Math.max(peak, map[y * stride + x]);
  }
  const values = new Uint8Array(height * width);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) values[to++] = Math.round((255 * map[y * stride + x]) / (peak || 1));
  }
  return { values, peak };
}

/** Rows and columns where a map is more than 0, and one more on either side, so that it fades away; at least a cell. */
function windowOf(maps, [height, width]) {
  let [top, bottom, left, right] = [height, 0, width, 0];
  for (const values of maps) {
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (values[at++] === 0) continue;
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
        [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
      }
    }
  }
  if (!bottom) return { top: 0, bottom: 1, left: 0, right: 1 };
  return {
    top: Math.max(top - 1, 0),
    bottom: Math.min(bottom + 1, height),
    left: Math.max(left - 1, 0),
    right: Math.min(right + 1, width),
  };
}

/** One picture of the window of all maps, from left to right. */
function inARow(maps, stride, { top, bottom, left, right }) {
  const width = right - left;
  const picture = new Uint8Array((bottom - top) * maps.length * width);
  for (let y = top, to = 0; y < bottom; y++) {
    for (const values of maps) {
      picture.set(values.subarray(y * stride + left, y * stride + right), to);
      to += width;
    }
  }
  return picture;
}

function joinCells(pictures) {
  const cells = new Uint8Array(pictures.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const picture of pictures) {
    cells.set(picture, at);
    at += picture.length;
  }
  return cells;
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
