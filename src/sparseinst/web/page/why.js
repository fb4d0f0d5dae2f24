/** The panel of the selected object: what it is, and which pixels spoke for it, a map for each group. */
import { ActivationMaps, closeUp } from "./activation.js";
import { paintHeat, paintPicture } from "./paint.js";

const MEANING =
  "The brighter a pixel, the more its features counted when the network decided what this object is and where it ends";

export class WhyPanel extends EventTarget {
  #maps = null;
  #loading = null;
  #drawn = null;
  /** The group whose map lies over the picture; null shows the masks. */
  #group = 0;

  /**
   * @param {HTMLElement} panel
   * @param {import("./scene.js").Scene} scene
   * @param {() => Promise<object> | null} ask - brings the answer with activation maps; null while there is none to ask.
   */
  constructor(panel, scene, ask) {
    super();
    Object.assign(this, { panel, scene, ask });
    this.title = panel.querySelector("h2");
    this.facts = panel.querySelector("#facts");
    this.groups = panel.querySelector("#groups");
    this.text = panel.querySelector("#why-text");
    scene.addEventListener("picture", () => {
      this.#maps = this.#loading = this.#drawn = null;
      this.update();
    });
    for (const change of ["visible", "select"]) scene.addEventListener(change, () => this.update());
  }

  /** What to lay over the picture: {item, heat}, or null. */
  get over() {
    const item = this.scene.selected;
    if (!item || this.#group === null || !this.#maps?.has(item)) return null;
    return { item, heat: this.#maps.heat(item, Math.min(this.#group, this.#maps.groups - 1)) };
  }

  update() {
    const item = this.scene.selected;
    this.panel.hidden = !item;
    if (!item) return (this.#drawn = null);
    const [x, y, width, height] = item.box.map(Math.round);
    this.title.textContent = `Why ${item.name} ${item.number}?`;
    this.facts.textContent =
      `Score ${item.score.toFixed(2)} · ${item.area.toFixed(0)} px · ${width} × ${height} at ${x}, ${y}`;
    if (this.#drawn === item) return;
    this.#drawn = item;
    if (this.#maps) this.#draw(item);
    else this.#load();
  }

  async #load() {
    this.groups.replaceChildren();
    const asked = this.ask();
    this.text.textContent = asked ? "Asking which pixels spoke for it …" : "Stop the camera to see which pixels spoke for it.";
    if (!asked || this.#loading) return;
    const loading = (this.#loading = asked);
    try {
      const result = await loading;
      const maps = await ActivationMaps.of(result);
      if (this.#loading !== loading) return; // of a picture that is gone
      this.#maps = maps;
      if (this.scene.selected) this.#draw(this.scene.selected);
    } catch (error) {
      if (this.#loading !== loading) return;
      this.#loading = null;
      this.text.textContent = `No activation maps: ${error.message}`;
    }
  }

  #draw(item) {
    if (this.#maps.has(item)) {
      const count = this.#maps.groups;
      this.groups.replaceChildren(...Array.from({ length: count }, (_, group) => this.#thumbnail(item, group)));
      this.text.textContent = count > 1 ? `${MEANING}; its ${count} maps are joined.` : `${MEANING}.`;
    } else {
      this.groups.replaceChildren();
      this.text.textContent = "Asked again, the network did not find this object: it has no activation map.";
    }
    this.dispatchEvent(new Event("change"));
  }

  #thumbnail(item, group) {
    const button = document.createElement("button");
    const canvas = document.createElement("canvas");
    const heat = this.#maps.heat(item, group);
    closeUp(canvas, this.scene, item, (context, scale, lineWidth) => {
      paintPicture(context, this.scene, scale);
      paintHeat(context, this.scene, item, heat, lineWidth);
    });
    const name = this.#maps.groups > 1 ? `Group ${group + 1}` : "Activation";
    const label = document.createElement("span");
    label.textContent = `${name}, peak ${this.#maps.peak(item, group).toPrecision(2)}`;
    button.type = "button";
    button.title = "Show this map over the picture";
    button.ariaPressed = String(group === this.#group);
    button.append(canvas, label);
    button.addEventListener("click", () => this.#choose(group));
    return button;
  }

  #choose(group) {
    this.#group = group === this.#group ? null : group;
    [...this.groups.children].forEach((button, i) => (button.ariaPressed = String(i === this.#group)));
    this.dispatchEvent(new Event("change"));
  }
}
