/** The activation maps of one answer: which pixels spoke for each object, by group. */
import { HEAT } from "./palette.js";
import { bytesOf } from "./pictures.js";
import { decodeGrey8 } from "./png.js";

/** A close-up shows this many times the length of the object's box. */
const CONTEXT = 4;
const CLOSE_UP_PX = 168;

export class ActivationMaps {
  /**
   * @param {object} result - an engine's answer that has "activation".
   * @returns {Promise<ActivationMaps>}
   */
  static async of(result) {
    const { png, cells } = result.activation;
    const values = cells ?? (await decodeGrey8(bytesOf(png))).values;
    return new ActivationMaps(result, values);
  }

  constructor({ activation, instances }, values) {
    this.groups = activation.groups;
    this.places = activation.places;
    /** Height and width of each object's maps; a service gives all the same. */
    this.blocks = activation.blocks ?? this.places.map(() => [activation.height, activation.width]);
    this.starts = [0];
    for (const [rows, columns] of this.blocks) this.starts.push(this.starts.at(-1) + rows * this.groups * columns);
    this.peaks = activation.peaks;
    this.values = values;
    /** Another request may bring the objects in another order; what stays is the slot they came from. */
    this.rowOf = new Map(instances.map(({ slot }, row) => [slot, row]));
  }

  has(item) {
    return this.rowOf.has(item.slot);
  }

  /** The strongest value of a map, in 0..1. */
  peak(item, group) {
    return this.peaks[this.rowOf.get(item.slot)][group];
  }

  /** One map in colours, a canvas of one pixel a cell, and what it covers of the picture: x0, y0, x1, y1. */
  heat(item, group) {
    const row = this.rowOf.get(item.slot);
    const [rows, columns] = this.blocks[row];
    const pixels = new ImageData(columns, rows);
    const stride = this.groups * columns;
    const start = this.starts[row] + group * columns;
    for (let y = 0, at = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++, at += 4) pixels.data.set(HEAT[this.values[start + y * stride + x]], at);
    }
    const canvas = new OffscreenCanvas(columns, rows);
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return { canvas, place: this.places[row] };
  }
}

/**
 * Draws an object's surroundings under one of its maps.
 * @param {HTMLCanvasElement} canvas - is given its size.
 * @param {(context, lineWidth: number) => void} paint - draws picture and map in the picture's pixels.
 */
export function closeUp(canvas, scene, item, paint) {
  const [x, y, width, height] = item.box;
  const side = Math.min(Math.max(scene.width, scene.height), Math.max(CONTEXT * Math.max(width, height), 24));
  canvas.width = canvas.height = Math.round(CLOSE_UP_PX * devicePixelRatio);
  const scale = canvas.width / side;
  const left = within(x + width / 2 - side / 2, scene.width, side);
  const top = within(y + height / 2 - side / 2, scene.height, side);
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, -left * scale, -top * scale);
  paint(context, scale, (1.5 * devicePixelRatio) / scale);
}

/** Where a stretch of a length begins so that it stays in the picture, or has it in its middle. */
function within(start, size, length) {
  return length >= size ? (size - length) / 2 : Math.min(size - length, Math.max(0, start));
}
