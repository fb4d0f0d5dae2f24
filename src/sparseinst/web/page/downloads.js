/** The visible objects as files, numbered as they are in the table. */
import { EngineError } from "./errors.js";
import { paintMasks } from "./paint.js";
import { encodeGrey16 } from "./png.js";
import { centroidOf, labelColumns } from "./rle.js";

/** Endings of the file names, and what makes each file. */
const FILES = {
  json: ["_predictions.json", (scene, { classes }) => json(cocoOf(scene, classes))],
  overlay: ["_overlay.png", (scene, { look }) => overlay(scene, look)],
  labels: ["_labels.png", labels],
  csv: ["_objects.csv", (scene) => csv(csvOf(scene))],
  measurements: ["_measurements.csv", async (scene, { measure }) => csv(measuredCsvOf(scene, await measure()))],
};

/**
 * Saves one of the files: "json", "overlay", "labels", "csv" or "measurements".
 * @param {{classes: string[], look: object, measure: () => Promise<object>}} context - class names by label; how masks
 *   are drawn; what brings the answer with measurements.
 */
export async function download(kind, scene, context) {
  const [ending, make] = FILES[kind];
  const { name } = scene.picture; // another may be shown when the file is made
  const url = URL.createObjectURL(await make(scene, context));
  const link = document.createElement("a");
  link.href = url;
  link.download = name.replace(/\.[^.]+$/, "") + ending;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A COCO file as `sparseinst predict --save-json` writes it. */
export function cocoOf(scene, classes) {
  const { width, height, picture } = scene;
  return {
    images: [{ id: 1, file_name: picture.name, width, height }],
    annotations: scene.visible.map((item) => ({
      id: item.number,
      image_id: 1,
      category_id: item.label + 1,
      segmentation: item.segmentation,
      score: item.score,
      bbox: item.box,
      area: item.area,
      iscrowd: 0,
    })),
    categories: classes.map((name, label) => ({ id: label + 1, name })),
  };
}

/** The table, its lines separated as RFC 4180 says. */
export function csvOf(scene) {
  const rows = scene.visible.map((item) => {
    const [x, y] = centroidOf(item.runs, scene.height).map((value) => Number(value.toFixed(3)));
    return [item.number, item.name, item.score, x, y, item.area, ...item.box];
  });
  return lines([["id", "class", "score", "centroid_x", "centroid_y", "area", "x", "y", "width", "height"], ...rows]);
}

/**
 * What the visible objects measure, in the columns of `sparseinst predict --measure`.
 * @param answer - one element of "images" of the service's answer, with "measurements".
 */
export function measuredCsvOf(scene, answer) {
  const keyOf = (slot, box) => `${slot} ${box}`;
  const rows = new Map(answer.instances.map((raw, i) => [keyOf(raw.slot, raw.bbox), answer.measurements[i]]));
  const measured = scene.visible.map((item) => {
    const row = rows.get(keyOf(item.slot, item.box));
    if (!row) throw new EngineError("measuring", "Asked again, the network found other objects: open the picture again.");
    return { ...row, id: item.number };
  });
  const names = Object.keys(answer.measurements[0] ?? { id: 0 });
  return lines([names, ...measured.map((row) => names.map((name) => row[name] ?? ""))]);
}

function lines(rows) {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [...rows.map((row) => row.map((value) => quoted(String(value))).join(",")), ""].join("\r\n");
}

function csv(text) {
  return new Blob([text], { type: "text/csv" });
}

/** 0 background, i where object i is; where masks overlap, the higher score. */
function labels(scene) {
  const order = [...scene.visible].sort((a, b) => a.score - b.score);
  const [runs, numbers] = [order.map((item) => item.runs), order.map((item) => item.number)];
  const columns = labelColumns(runs, numbers, scene.width, scene.height);
  return encodeGrey16(scene.width, scene.height, (x, y) => columns[x * scene.height + y]);
}

async function overlay(scene, look) {
  const canvas = new OffscreenCanvas(scene.width, scene.height);
  const context = canvas.getContext("2d");
  context.drawImage(scene.picture.bitmap, 0, 0, scene.width, scene.height);
  paintMasks(context, scene, look, Math.max(1, Math.min(scene.width, scene.height) / 500));
  return canvas.convertToBlob({ type: "image/png" });
}

function json(content) {
  return new Blob([JSON.stringify(content)], { type: "application/json" });
}
