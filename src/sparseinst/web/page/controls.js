/** Sliders and switches. They change what is shown at once; nothing is asked of the engine. */

const SWITCHES = { outlines: "outlines", labels: "labels", byClass: "by-class" };
/** Up to this many objects are labelled unless the user decides. */
const FEW = 12;

export class Controls extends EventTarget {
  look = { opacity: 0.35, outlines: true, labels: false, byClass: false };
  #decided = false; // the user has switched the labels

  /** @param {import("./scene.js").Scene} scene */
  constructor(scene) {
    super();
    this.scene = scene;
    this.score = slider("score", (value) => (scene.threshold = value));
    slider("opacity", (value) => this.#change("opacity", value));
    for (const [name, id] of Object.entries(SWITCHES)) {
      document.getElementById(id).addEventListener("change", (event) => {
        this.#decided ||= name === "labels";
        this.#change(name, event.target.checked);
      });
    }
    scene.addEventListener("picture", () => this.#labelFew());
  }

  /** Brings the score slider to a model's threshold. */
  set threshold(score) {
    this.score.value = score;
    this.score.dispatchEvent(new Event("input"));
  }

  #labelFew() {
    if (this.#decided || !this.scene.items.length) return;
    this.look.labels = this.scene.visible.length <= FEW;
    document.getElementById("labels").checked = this.look.labels;
  }

  #change(name, value) {
    this.look[name] = value;
    this.dispatchEvent(new Event("change"));
  }
}

function slider(id, callback) {
  const input = document.getElementById(id);
  const shown = document.getElementById(`${id}-shown`);
  const update = () => {
    shown.textContent = Number(input.value).toFixed(2);
    input.style.setProperty("--part", `${(100 * (input.value - input.min)) / (input.max - input.min)}%`);
    callback(Number(input.value));
  };
  input.addEventListener("input", update);
  update();
  return input;
}
