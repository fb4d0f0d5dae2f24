/** Which views of neighbouring tiles agree, counted on runs: no mask is drawn. */

import { eachColumn } from "./rle.js";

/** Two views whose masks overlap as much where both tiles look show the same object. */
const SAME_IOU = 0.5;
/** A view with this share of its mask within a better one of another tile shows nothing of its own. */
const INSIDE = 0.5;

/** Pairs of windows that overlap, and where: {first, second, shared}. */
export function* neighbours(windows) {
  for (const [first, one] of windows.entries()) {
    for (let second = first + 1; second < windows.length; second++) {
      const other = windows[second];
      const shared = {
        top: Math.max(one.top, other.top),
        bottom: Math.min(one.bottom, other.bottom),
        left: Math.max(one.left, other.left),
        right: Math.min(one.right, other.right),
      };
      if (shared.top < shared.bottom && shared.left < shared.right) yield { first, second, shared };
    }
  }
}

/**
 * Which views show the same object (both ways), and which lie within one that ranks before them (from that one on).
 * @param {{raw: object, tile: number, rank: number, runs: Uint32Array}[]} views - tile after tile.
 * @param pairs - of `neighbours`.
 * @returns {{same: number[][], inside: number[][]}} for each view the numbers of others.
 */
export function agreements(views, windows, pairs) {
  const same = views.map(() => []);
  const inside = views.map(() => []);
  const tiles = windows.map((window) => Array.from({ length: window.right - window.left }, () => []));
  for (const [number, { tile, runs }] of views.entries()) {
    const { top, bottom } = windows[tile];
    eachColumn(runs, bottom - top, (x, y0, y1) => tiles[tile][x].push(y0 + top, y1 + top, number));
  }
  for (const { first, second, shared } of pairs) {
    const { areas, common } = counted(tiles[first], windows[first], tiles[second], windows[second], shared);
    for (const [one, others] of common) {
      for (const [other, pixels] of others) {
        if (views[one].raw.label !== views[other].raw.label) continue;
        if (pixels >= SAME_IOU * (areas.get(one) + areas.get(other) - pixels)) {
          same[one].push(other);
          same[other].push(one);
        }
        const [better, poorer] = views[one].rank < views[other].rank ? [one, other] : [other, one];
        if (pixels >= INSIDE * views[poorer].raw.area) inside[better].push(poorer);
      }
    }
  }
  return { same, inside };
}

/**
 * Pixels of views in the window that two tiles share.
 * @param {number[][]} first - of each column of a tile its strips: top, bottom, view, top, ...; and so the second.
 * @returns {{areas: Map<number, number>, common: Map<number, Map<number, number>>}} of each view; and of each view of
 *   the first tile with those of the second that it has pixels in common with.
 */
function counted(first, firstWindow, second, secondWindow, { top, bottom, left, right }) {
  const areas = new Map();
  const common = new Map();
  const add = (sums, key, pixels) => sums.set(key, (sums.get(key) ?? 0) + pixels);
  for (let x = left; x < right; x++) {
    const [ones, others] = [first[x - firstWindow.left], second[x - secondWindow.left]].map((strips) =>
      within(strips, top, bottom),
    );
    for (const { y0, y1, view } of [...ones, ...others]) add(areas, view, y1 - y0);
    for (const one of ones) {
      for (const other of others) {
        const pixels = Math.min(one.y1, other.y1) - Math.max(one.y0, other.y0);
        if (pixels <= 0) continue;
        if (!common.has(one.view)) common.set(one.view, new Map());
        add(common.get(one.view), other.view, pixels);
      }
    }
  }
  return { areas, common };
}

/** What of a column's strips lies between two rows. */
function within(strips, top, bottom) {
  const found = [];
  for (let i = 0; i < strips.length; i += 3) {
    const [y0, y1] = [Math.max(strips[i], top), Math.min(strips[i + 1], bottom)];
    if (y0 < y1) found.push({ y0, y1, view: strips[i + 2] });
  }
  return found;
}
