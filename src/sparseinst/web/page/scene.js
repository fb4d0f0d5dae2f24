/** What is shown: a picture, its objects, which of them pass the threshold, and which one the user looks at. */
import { smoothPath, trace } from "./outline.js";
import { contrasting } from "./palette.js";
import { decodeRuns, labelColumns } from "./rle.js";

/** One object; its runs and outline are made when they are first asked for. */
class Item {
  #runs;
  #path;

  constructor(raw) {
    this.label = raw.label;
    this.name = raw.class;
    this.score = raw.score;
    this.box = raw.bbox; // x, y, width, height in pixels
    this.area = raw.area;
    this.slot = raw.slot;
    this.segmentation = raw.segmentation;
    this.color = 0;
    /** Its place among the visible objects, from 1; as in the downloads. */
    this.number = 0;
  }

  get runs() {
    return (this.#runs ??= decodeRuns(this.segmentation.counts));
  }

  get path() {
    return (this.#path ??= smoothPath(trace(this.runs, this.segmentation.size[0])));
  }
}

/**
 * Tells of its changes by events: "picture" (another picture or answer), "visible" (the threshold moved), "hover" and
 * "select" (another object is hovered or selected, or none).
 */
export class Scene extends EventTarget {
  picture = null; // {bitmap, blob, name}
  width = 0;
  height = 0;
  items = [];
  visible = [];
  hovered = null;
  selected = null;
  #threshold = 0;
  #labels = new Uint16Array(0);

  /** Shows a picture; `result` is an engine's answer, or null while it is awaited. */
  show(picture, result) {
    if (this.picture?.bitmap !== picture.bitmap) this.picture?.bitmap.close();
    this.picture = picture;
    this.width = result?.width ?? picture.bitmap.width;
    this.height = result?.height ?? picture.bitmap.height;
    this.items = (result?.instances ?? []).map((raw) => new Item(raw));
    const best = [...this.items].sort((a, b) => b.score - a.score);
    contrasting(best.map((item) => item.box)).forEach((color, i) => (best[i].color = color));
    this.hovered = this.selected = null;
    this.#sift();
    this.#tell("picture");
  }

  get threshold() {
    return this.#threshold;
  }

  /** Hides objects of a lower score. */
  set threshold(score) {
    this.#threshold = score;
    this.#sift();
    this.#tell("visible");
  }

  hover(item) {
    if (item === this.hovered) return;
    this.hovered = item;
    this.#tell("hover");
  }

  select(item) {
    if (item === this.selected) return;
    this.selected = item;
    this.#tell("select");
  }

  /** The visible object at a place of the picture, the smallest where several overlap; null where there is none. */
  at(x, y) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return null;
    return this.visible[this.#labels[Math.floor(x) * this.height + Math.floor(y)] - 1] ?? null;
  }

  #sift() {
    this.visible = this.items.filter((item) => item.score >= this.#threshold);
    this.visible.forEach((item, i) => (item.number = i + 1));
    if (!this.visible.includes(this.selected)) this.selected = null;
    if (!this.visible.includes(this.hovered)) this.hovered = null;
    const order = largestFirst(this.visible);
    const [runs, numbers] = [order.map((item) => item.runs), order.map((item) => item.number)];
    this.#labels = labelColumns(runs, numbers, this.width, this.height);
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}

/** Small objects lie on top of large ones. */
export function largestFirst(items) {
  return [...items].sort((a, b) => b.area - a.area);
}
