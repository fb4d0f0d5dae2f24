/** How many objects there are, of which classes and how large: in one sentence and a short list. */

const MOST_CLASSES = 8;

/**
 * @param {import("./scene.js").Scene} scene
 * @param {number} milliseconds - from request to answer.
 */
export function headline(scene, milliseconds) {
  const count = scene.visible.length;
  const objects = count === 1 ? "1 object" : `${count || "No"} objects`;
  return `${objects} found in ${milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`}`;
}

/** One line a class, most frequent first: its name, count and median area; then how many the threshold hides. */
export function countsOf(scene) {
  const areas = new Map();
  for (const { name, area } of scene.visible) areas.set(name, [...(areas.get(name) ?? []), area]);
  const lines = [...areas].sort((a, b) => b[1].length - a[1].length);
  const shown = lines.slice(0, MOST_CLASSES).map(([name, all]) => `${name} ${all.length} · median area ${median(all)} px`);
  if (lines.length > MOST_CLASSES) shown.push(`and ${lines.length - MOST_CLASSES} more classes`);
  const hidden = scene.items.length - scene.visible.length;
  if (hidden) shown.push(`${hidden} more with a lower score`);
  return shown;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return Math.round(sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2);
}
