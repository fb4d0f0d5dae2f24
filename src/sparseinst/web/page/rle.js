/** Compressed COCO run-length codes: runs of pixels in column order (pixel (x, y) has the place x * height + y). */

/**
 * The foreground runs of a mask.
 * @param {string} counts - `counts` of a compressed COCO RLE.
 * @returns {Uint32Array} start and end (exclusive) of each run, one after the other.
 */
export function decodeRuns(counts) {
  const lengths = [];
  for (let at = 0; at < counts.length; ) {
    let value = 0;
    let shift = 0;
    let part;
    do {
      part = counts.charCodeAt(at++) - 48;
      value |= (part & 31) << shift;
      shift += 5;
    } while (part & 32);
    if (part & 16) value |= -1 << shift;
    // from the fourth on, lengths are given as differences from the one before the last
    lengths.push(lengths.length > 2 ? value + lengths[lengths.length - 2] : value);
  }
  const runs = new Uint32Array(2 * (lengths.length >> 1));
  let place = 0;
  for (let i = 0; i < lengths.length; i++) {
    place += lengths[i];
    if (i < runs.length) runs[i] = place; // the end of background is the start of foreground, and so on
  }
  return runs;
}

/** Calls back with x, y0, y1 (exclusive) of each piece of a column that the runs cover. */
export function eachColumn(runs, height, callback) {
  for (let i = 0; i < runs.length; i += 2) {
    for (let start = runs[i]; start < runs[i + 1]; ) {
      const x = Math.floor(start / height);
      const end = Math.min(runs[i + 1], (x + 1) * height);
      callback(x, start - x * height, end - x * height);
      start = end;
    }
  }
}

/** The mean x and y of the pixels that the runs cover; 0 is the centre of the first pixel. */
export function centroidOf(runs, height) {
  let [sumX, sumY, count] = [0, 0, 0];
  eachColumn(runs, height, (x, top, bottom) => {
    sumX += x * (bottom - top);
    sumY += ((top + bottom - 1) / 2) * (bottom - top);
    count += bottom - top;
  });
  return [sumX / count, sumY / count];
}

/**
 * Which object each pixel belongs to.
 * @param {Uint32Array[]} masks - the runs of each; a later one covers an earlier one.
 * @param {number[]} values - what to write for each, 1..65535; 0 is background.
 * @returns {Uint16Array} width * height values in column order.
 */
export function labelColumns(masks, values, width, height) {
  const columns = new Uint16Array(width * height);
  masks.forEach((runs, index) => {
    for (let i = 0; i < runs.length; i += 2) columns.fill(values[index], runs[i], runs[i + 1]);
  });
  return columns;
}
