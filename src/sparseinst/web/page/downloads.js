/** The visible objects as files, numbered as they are in the table. */
import { paintMasks } from "./paint.js";
import { encodeGrey16 } from "./png.js";
import { labelColumns } from "./rle.js";

/** Endings of the file names, and what makes each file. */
const FILES = {
  json: ["_predictions.json", (scene, { classes }) => json(cocoOf(scene, classes))],
  overlay: ["_overlay.png", (scene, { look }) => overlay(scene, look)],
  labels: ["_labels.png", labels],
  csv: ["_objects.csv", (scene) => new Blob([csvOf(scene)], { type: "text/csv" })],
};

/**
 * Saves one of the files: "json", "overlay", "labels" or "csv".
 * @param {{classes: string[], look: object}} context - class names by label; how masks are drawn.
 */
export async function download(kind, scene, context) {
  const [ending, make] = FILES[kind];
  const url = URL.createObjectURL(await make(scene, context));
  const link = document.createElement("a");
  link.href = url;
  link.download = scene.picture.name.replace(/\.[^.]+$/, "") + ending;
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
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = scene.visible.map(({ number, name, score, area, box }) =>
    [number, quoted(name), score, area, ...box].join(","),
  );
  return ["id,class,score,area,x,y,width,height", ...lines, ""].join("\r\n");
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
