/** What of a mask hangs together, diagonals included, from the places where it begins and ends, as `masks/pieces.py`. */

/**
 * A mask without its small pieces; the largest always stays, and equals of it.
 * @param {number[]} edges - places in column order where the mask begins or ends, ascending: begin, end, begin, ...
 * @param {number} height - of the picture.
 * @param {number} least - pieces below this share (0..1) of the mask's area go.
 * @returns {number[]} likewise; the same array where nothing goes.
 */
export function withoutSmallPieces(edges, height, least) {
  if (!(least > 0)) return edges;
  const strips = stripsOf(edges, height);
  const piece = piecesOf(strips);
  const areas = new Map();
  for (const [i, { top, bottom }] of strips.entries()) areas.set(piece[i], (areas.get(piece[i]) ?? 0) + bottom - top);
  let [whole, largest] = [0, 0];
  for (const area of areas.values()) [whole, largest] = [whole + area, Math.max(largest, area)];
  const limit = Math.min(least * whole, largest);
  if (![...areas.values()].some((area) => area < limit)) return edges;
  const kept = [];
  for (const [i, { column, top, bottom }] of strips.entries()) {
    if (areas.get(piece[i]) < limit) continue;
    const [begin, end] = [column * height + top, column * height + bottom];
    if (kept.at(-1) === begin) kept[kept.length - 1] = end; // on from the end of a column
    else kept.push(begin, end);
  }
  return kept;
}

/** The mask cut at the ends of columns, in column order. */
function stripsOf(edges, height) {
  const strips = [];
  for (let i = 0; i < edges.length; i += 2) {
    for (let begin = edges[i]; begin < edges[i + 1]; ) {
      const column = Math.floor(begin / height);
      const end = Math.min(edges[i + 1], (column + 1) * height);
      strips.push({ column, top: begin - column * height, bottom: end - column * height });
      begin = end;
    }
  }
  return strips;
}

/** For each strip the first one of its piece. */
function piecesOf(strips) {
  const before = Int32Array.from(strips.keys()); // leads to the first one
  const firstOf = (i) => {
    while (before[i] !== i) i = before[i] = before[before[i]];
    return i;
  };
  let behind = 0; // the first strip of the column before that can touch this one or a later one
  for (const [i, { column, top, bottom }] of strips.entries()) {
    const passed = (other) => other.column < column - 1 || (other.column === column - 1 && other.bottom < top);
    while (passed(strips[behind])) behind++;
    for (let j = behind; strips[j].column < column && strips[j].top <= bottom; j++) {
      const [one, other] = [firstOf(i), firstOf(j)];
      before[Math.max(one, other)] = Math.min(one, other);
    }
  }
  return before.map((_, i) => firstOf(i));
}
