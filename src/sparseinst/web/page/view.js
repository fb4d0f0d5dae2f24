/** Two canvases, one over the other, that show the same part of a picture: the masks, and what changes with the pointer. */
import { listenToGestures } from "./gestures.js";

const CLOSEST = 40;
/** Screen pixels left free around a picture that fits. */
const MARGIN = 16;

export class View {
  scale = 1; // CSS pixels per pixel of the picture
  x = 0; // of the picture's corner on the stage, in CSS pixels
  y = 0;
  #size = [1, 1];
  #fitted = true;
  #pending = 0;
  #stale = true;

  /**
   * @param {HTMLCanvasElement} base - repainted when the masks or the view change.
   * @param {HTMLCanvasElement} top - repainted with every pointer move that matters; takes the gestures.
   * @param {{paintBase, paintTop}} painters - called with a context in the picture's pixels and this view.
   */
  constructor(base, top, painters) {
    Object.assign(this, { base, top, painters });
    new ResizeObserver(() => (this.#fitted ? this.fit() : this.repaint())).observe(top);
    listenToGestures(top, this);
  }

  /** Sets the size of the picture; another size is brought to fit. */
  setPicture(width, height) {
    const same = width === this.#size[0] && height === this.#size[1];
    this.#size = [width, height];
    if (same) this.repaint();
    else this.fit();
  }

  fit() {
    const { clientWidth, clientHeight } = this.top;
    const [width, height] = this.#size;
    this.#fitted = true;
    this.scale = this.#fittingScale();
    this.x = (clientWidth - width * this.scale) / 2;
    this.y = (clientHeight - height * this.scale) / 2;
    this.repaint();
  }

  /** Zooms by a factor; what is at a place of the stage (CSS pixels; else its middle) stays there. */
  zoom(factor, x = this.top.clientWidth / 2, y = this.top.clientHeight / 2) {
    const least = Math.min(1, this.#fittingScale());
    const scale = Math.min(CLOSEST, Math.max(least, this.scale * factor));
    if (scale <= this.#fittingScale() && factor < 1) return this.fit();
    this.#fitted = false;
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.#keepInSight();
    this.repaint();
  }

  pan(dx, dy) {
    if (this.#fitted) return;
    this.x += dx;
    this.y += dy;
    this.#keepInSight();
    this.repaint();
  }

  /** Moves a box (x, y, width, height in the picture's pixels) into sight if it is not. */
  reveal([x, y, width, height]) {
    const [left, top] = this.toStage(x, y);
    const [right, bottom] = this.toStage(x + width, y + height);
    const { clientWidth, clientHeight } = this.top;
    if (left >= 0 && top >= 0 && right <= clientWidth && bottom <= clientHeight) return;
    this.pan(clientWidth / 2 - (left + right) / 2, clientHeight / 2 - (top + bottom) / 2);
  }

  /** Whether all of the picture is in sight. */
  get fitted() {
    return this.#fitted;
  }

  toPicture(x, y) {
    return [(x - this.x) / this.scale, (y - this.y) / this.scale];
  }

  toStage(x, y) {
    return [x * this.scale + this.x, y * this.scale + this.y];
  }

  repaint() {
    this.#stale = true;
    this.repaintTop();
  }

  repaintTop() {
    this.#pending ||= requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    this.#pending = 0;
    if (this.#stale) {
      this.#stale = false;
      this.painters.paintBase(this.#context(this.base), this);
      this.top.style.touchAction = this.#fitted ? "pan-y" : "none"; // a page that scrolls must stay reachable
    }
    this.painters.paintTop(this.#context(this.top), this);
  }

  #context(canvas) {
    const ratio = devicePixelRatio;
    const [width, height] = [Math.round(this.top.clientWidth * ratio), Math.round(this.top.clientHeight * ratio)];
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(this.scale * ratio, 0, 0, this.scale * ratio, this.x * ratio, this.y * ratio);
    return context;
  }

  #fittingScale() {
    const [width, height] = this.#size;
    const { clientWidth, clientHeight } = this.top;
    const scale = Math.min((clientWidth - 2 * MARGIN) / width, (clientHeight - 2 * MARGIN) / height);
    return Math.max(scale, 0.001);
  }

  /** The picture cannot be lost: its middle part stays on the stage. */
  #keepInSight() {
    const { clientWidth, clientHeight } = this.top;
    const [width, height] = this.#size.map((side) => side * this.scale);
    this.x = Math.min(clientWidth / 2, Math.max(clientWidth / 2 - width, this.x));
    this.y = Math.min(clientHeight / 2, Math.max(clientHeight / 2 - height, this.y));
  }
}
