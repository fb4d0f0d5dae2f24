/** Draws a scene on a canvas whose transform leads from the picture's pixels to the canvas's. */
import { OVER_HEAT, colorOf } from "./palette.js";
import { largestFirst } from "./scene.js";

const FONT = "600 12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

/** The picture; far enough in, its pixels are squares. */
export function paintPicture(context, scene, scale) {
  context.imageSmoothingEnabled = scale < 6;
  context.imageSmoothingQuality = "high";
  context.drawImage(scene.picture.bitmap, 0, 0, scene.width, scene.height);
}

/**
 * Fills and outlines of the visible objects.
 * @param {{opacity: number, outlines: boolean, byClass: boolean}} look - opacity of the fills in 0..1.
 * @param {number} lineWidth - in the picture's pixels.
 */
export function paintMasks(context, scene, look, lineWidth) {
  context.lineJoin = "round";
  const items = largestFirst(scene.visible);
  if (look.opacity > 0) {
    context.globalAlpha = look.opacity;
    for (const item of items) {
      context.fillStyle = colorIn(look, item);
      context.fill(item.path);
    }
    context.globalAlpha = 1;
  }
  if (!look.outlines) return;
  context.lineWidth = lineWidth;
  for (const item of items) {
    context.strokeStyle = colorIn(look, item);
    context.stroke(item.path);
  }
}

/** One object lit up: a light outline around a dark one shows on any picture. */
export function paintLit(context, item, lineWidth, filled) {
  context.lineJoin = "round";
  if (filled) {
    context.globalAlpha = 0.3;
    context.fillStyle = "#ffffff";
    context.fill(item.path);
    context.globalAlpha = 1;
  }
  for (const [color, width] of [["rgb(0 0 0 / .75)", 3.2], ["#ffffff", 1.6]]) {
    context.strokeStyle = color;
    context.lineWidth = lineWidth * width;
    context.stroke(item.path);
  }
}

/** An activation map over the dimmed picture, with the outline of its object. */
export function paintHeat(context, scene, item, heat, lineWidth) {
  const { canvas, place } = heat;
  context.save();
  context.beginPath();
  context.rect(0, 0, scene.width, scene.height);
  context.clip();
  context.fillStyle = "rgb(0 0 0 / .5)";
  context.fillRect(0, 0, scene.width, scene.height);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  const [left, top, right, bottom] = place;
  context.drawImage(canvas, left, top, right - left, bottom - top);
  context.restore();
  context.lineJoin = "round";
  context.strokeStyle = OVER_HEAT;
  context.lineWidth = lineWidth;
  context.stroke(item.path);
}

/**
 * Class and score at each object with room for them, best score first; no label covers another.
 * @param {(x: number, y: number) => [number, number]} place - from the picture's pixels to the context's.
 */
export function paintLabels(context, scene, look, place) {
  context.font = FONT;
  context.textBaseline = "middle";
  const taken = [];
  for (const item of [...scene.visible].sort((a, b) => b.score - a.score)) {
    const text = `${item.name} ${item.score.toFixed(2)}`;
    const width = context.measureText(text).width + 10;
    const [x, y] = place(item.box[0], item.box[1]);
    const spot = [x, Math.max(0, y - 19), x + width, Math.max(0, y - 19) + 18];
    const apart = (other) => spot[0] >= other[2] || spot[2] <= other[0] || spot[1] >= other[3] || spot[3] <= other[1];
    if (!taken.every(apart)) continue;
    taken.push(spot);
    context.fillStyle = colorIn(look, item);
    context.beginPath();
    context.roundRect(spot[0], spot[1], width, 18, 4);
    context.fill();
    context.fillStyle = "#10141b";
    context.fillText(text, spot[0] + 5, spot[1] + 9.5);
  }
}

function colorIn(look, item) {
  return colorOf(look.byClass ? item.label : item.color);
}
