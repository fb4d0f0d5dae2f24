/**
 * Objects of overlapping tiles brought together, by the rule of `inference/merging.py`, which tells why it is so: a
 * whole view of an object is the object, cut views that agree are joined, and what lies in a better view goes.
 */

import { describe } from "./browser_masks.js";
import { withoutSmallPieces } from "./browser_pieces.js";
import { agreements, neighbours } from "./browser_views.js";
import { decodeRuns, eachColumn } from "./rle.js";

/** More than the slots of any tile. */
const TILE_SLOTS = 2 ** 20;
/** A cut view outranks a whole one of less than this share of its score. */
const CUT_WORTH = 0.5;

/**
 * @param {object[][]} parts - what was found in each tile, as an engine gives it.
 * @param {{windows: object[], margin: number}} tiles - of `cut`.
 * @param {[number, number]} size - height and width of the picture.
 * @param {number} leastPiece - 0..1; pieces below this share of a mask go.
 * @returns {{instances: object[], leaders: number[]}} the objects of the picture, in the order of tiles and slots; and
 *   for each the number of the view that spoke for it, among those of all tiles in a row.
 */
export function merge(parts, { windows, margin }, size, leastPiece) {
  if (parts.length === 1) return { instances: parts[0], leaders: [...parts[0].keys()] };
  const views = viewsOf(parts, windows, size, margin);
  const pairs = [...neighbours(windows)];
  const { same, inside } = agreements(views, windows, pairs);
  const unseen = unseenOf(views, same, windows, pairs, size, margin);
  const groups = groupsOf(views, same, inside, unseen).sort((a, b) => a.leader - b.leader);
  const instances = groups.map(({ leader, members, score }) => {
    const { raw, tile } = views[leader];
    const edges = unionOf(members.map((member) => views[member]), windows, size[0]);
    const { counts, area, bbox } = describe(withoutSmallPieces(edges, size[0], leastPiece), size);
    return { ...raw, score, bbox, area, slot: tile * TILE_SLOTS + raw.slot, segmentation: { size, counts } };
  });
  return { instances, leaders: groups.map(({ leader }) => leader) };
}

/** All objects of all tiles, tile after tile; boxes are x0, y0, x1, y1 in the picture. */
function viewsOf(parts, windows, size, margin) {
  const views = parts.flatMap((part, tile) =>
    part.map((raw) => {
      const [x, y, width, height] = raw.bbox;
      const { left, top } = windows[tile];
      const box = [x + left, y + top, x + left + width, y + top + height];
      const room = roomOf(box, windows[tile], size, margin);
      return { raw, tile, box, room, runs: decodeRuns(raw.segmentation.counts) };
    }),
  );
  const worth = views.map(({ raw, room }) => (CUT_WORTH + (1 - CUT_WORTH) * room) * raw.score);
  const order = [...views.keys()].sort((a, b) => worth[b] - worth[a]);
  order.forEach((view, rank) => (views[view].rank = rank));
  return views;
}

/**
 * Pixels from a box to the nearest border of a tile that is inside the picture, as a share of the margin: 0 where the
 * box leaves the tile, too, and at most 1.
 */
function roomOf([x0, y0, x1, y1], { top, bottom, left, right }, [height, width], margin) {
  let nearest = margin;
  if (top > 0) nearest = Math.min(nearest, y0 - top);
  if (bottom < height) nearest = Math.min(nearest, bottom - y1);
  if (left > 0) nearest = Math.min(nearest, x0 - left);
  if (right < width) nearest = Math.min(nearest, right - x1);
  return Math.max(nearest, 0) / margin;
}

/** Whether a tile that shows more around what a view claims has nothing of it. */
function unseenOf(views, same, windows, pairs, size, margin) {
  const met = same.map((others) => new Set(others.map((other) => views[other].tile)));
  const beside = windows.map(() => []);
  for (const { first, second } of pairs) {
    beside[first].push(second);
    beside[second].push(first);
  }
  return views.map(({ tile, box, room }, view) =>
    beside[tile].some((other) => !met[view].has(other) && roomOf(box, windows[other], size, margin) > room),
  );
}

/** The objects that views show: the leader ranked first; the members are drawn; the score is the highest of them. */
function groupsOf(views, same, inside, unseen) {
  const taken = [...unseen];
  const groups = [];
  for (const leader of [...views.keys()].sort((a, b) => views[a].rank - views[b].rank)) {
    if (taken[leader]) continue;
    taken[leader] = true;
    const members = [leader];
    let score = views[leader].raw.score;
    for (const member of members) { // grows while it is walked through
      // In the order of their ranks: a view may agree with one member and lie within another.
      const agreeing = same[member].filter((view) => !taken[view]).sort((a, b) => views[a].rank - views[b].rank);
      for (const view of [...agreeing, ...inside[member]]) taken[view] = true;
      if (views[leader].room > 0) continue;
      members.push(...agreeing);
      score = Math.max(score, ...agreeing.map((view) => views[view].raw.score));
    }
    groups.push({ leader, members, score });
  }
  return groups;
}

/** Places in column order of the picture where the union of views begins or ends: begin, end, begin, ... */
function unionOf(members, windows, height) {
  const strips = [];
  for (const { runs, tile } of members) {
    const { top, bottom, left } = windows[tile];
    eachColumn(runs, bottom - top, (x, y0, y1) => {
      const column = (x + left) * height + top;
      strips.push([column + y0, column + y1]);
    });
  }
  strips.sort((a, b) => a[0] - b[0]);
  const edges = [];
  for (const [begin, end] of strips) {
    if (edges.length && begin <= edges.at(-1)) edges[edges.length - 1] = Math.max(edges.at(-1), end);
    else edges.push(begin, end);
  }
  return edges;
}
