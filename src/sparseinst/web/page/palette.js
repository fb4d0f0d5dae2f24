/** Colours of objects and of activation maps; the same as in the pictures that `sparseinst predict` draws. */

const OBJECTS = [
  "#ff3b5c", "#2fd9ff", "#ffc21a", "#8f6bff", "#35e06f", "#ff7a1a",
  "#ff5fd2", "#3d8bff", "#c6f000", "#00c9a7", "#d13bff", "#ff9d8a",
];

/** The outline over an activation map: cyan, which the map's colours do not have. */
export const OVER_HEAT = "#2fd9ff";

/** The colour of a class or of an object, by number. */
export function colorOf(number) {
  return OBJECTS[number % OBJECTS.length];
}

/**
 * Numbers of colours such that neighbours differ: each takes the colour whose last use is farthest from it.
 * @param {[number, number, number, number][]} boxes - x, y, width, height.
 */
export function contrasting(boxes) {
  const taken = [];
  for (const [x, y, width, height] of boxes) {
    const [cx, cy] = [x + width / 2, y + height / 2];
    const nearest = OBJECTS.map(() => Infinity);
    for (const other of taken) {
      nearest[other.color] = Math.min(nearest[other.color], Math.hypot(cx - other.cx, cy - other.cy));
    }
    taken.push({ cx, cy, color: nearest.indexOf(Math.max(...nearest)) });
  }
  return taken.map(({ color }) => color);
}

/** Every 32nd colour of the inferno map. */
const INFERNO = [
  [0, 0, 4], [33, 12, 74], [87, 16, 110], [138, 34, 106], [188, 55, 84],
  [228, 90, 49], [249, 142, 9], [249, 203, 53], [252, 255, 164],
];

/** Red, green, blue and opacity (0..255) of a map's value 0..255: the weaker a cell, the more of the picture shows. */
export const HEAT = Array.from({ length: 256 }, (_, value) => {
  const at = (value / 256) * (INFERNO.length - 1);
  const low = Math.floor(at);
  const mixed = INFERNO[low].map((part, i) => part + (INFERNO[low + 1][i] - part) * (at - low));
  return [...mixed.map(Math.round), Math.round(Math.min(230, 1.7 * value))];
});
