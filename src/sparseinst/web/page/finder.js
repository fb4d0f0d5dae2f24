/** From files and camera frames to a scene: asks the engine, drops what is out of date, asks for the API key. */
import { Camera } from "./camera.js";
import { EngineError } from "./errors.js";
import { bytesOf, checkFile, decode } from "./pictures.js";

/** The engine is asked once for all above this score; the slider then needs no further answer. */
const LOWEST_SCORE = 0.05;
/** Between questions to a service that still opens its network. */
const LOADING_MS = 1000;

/** Tells of itself by events: "model" (it is known), "state" (busy or live changed), "failure" ({error, again}). */
export class Finder extends EventTarget {
  model = null;
  busy = false;
  milliseconds = 0;
  /** Of a picture that is seen in tiles: {done, of}; null before. */
  progress = null;
  /** Camera frames a second. */
  rate = 0;
  #answer = null; // of the picture on the stage
  #running = null; // AbortController
  #lastFrame = 0;

  /**
   * @param {object} engine
   * @param {import("./scene.js").Scene} scene
   * @param {() => Promise<string | null>} askKey
   */
  constructor(engine, scene, askKey) {
    super();
    Object.assign(this, { engine, scene, askKey });
    this.camera = new Camera(engine, {
      onFrame: (picture, result) => this.#showFrame(picture, result),
      onError: (error) => this.#fail(error),
    });
  }

  get lowest() {
    return Math.min(LOWEST_SCORE, this.model?.score ?? LOWEST_SCORE);
  }

  /** Learns what the model knows; waits for a service that has just been started. */
  async start() {
    try {
      this.model = await this.#withKey(() => this.engine.model());
      this.dispatchEvent(new Event("model"));
    } catch (error) {
      if (error.code === "loading") setTimeout(() => this.start(), LOADING_MS);
      else this.#fail(error, () => this.start());
    }
    this.#tell();
  }

  /** Finds the objects of a picture and shows them; what was running is dropped. */
  async open(file) {
    this.stopCamera();
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    this.busy = true;
    this.progress = null;
    this.#tell();
    try {
      if (!this.model) await this.start();
      checkFile(file, this.model?.limits);
      const bitmap = await decode(file);
      if (bitmap && running === this.#running) this.#show({ bitmap, blob: file, name: file.name }, null);
      const onProgress = (progress) => running === this.#running && this.#tell({ progress });
      const options = { score: this.lowest, preview: !bitmap, signal: running.signal, onProgress };
      const result = await this.#withKey(() => this.engine.segment(file, options));
      const shown = bitmap ?? (await previewOf(file, result));
      if (running === this.#running) this.#show({ bitmap: shown, blob: file, name: file.name }, result);
    } catch (error) {
      if (running === this.#running) this.#fail(error, error.final ? null : () => this.open(file));
    } finally {
      if (running === this.#running) this.busy = false;
      this.#tell();
    }
  }

  /** The picture that the model comes with. */
  async openSample() {
    try {
      const response = await fetch(new URL(this.model.sample, document.baseURI));
      if (!response.ok) throw new EngineError("sample", `The sample could not be loaded (status ${response.status}).`);
      const blob = await response.blob();
      await this.open(new File([blob], this.model.sample.split("/").pop(), { type: blob.type }));
    } catch (error) {
      this.#fail(error, () => this.openSample());
    }
  }

  /** The answer on the stage with its activation maps; null while the camera runs. */
  explain() {
    if (this.camera.live || !this.#answer) return null;
    if (this.#answer.activation) return Promise.resolve(this.#answer);
    const { blob } = this.scene.picture;
    return this.#withKey(() => this.engine.segment(blob, { score: this.lowest, activation: true }));
  }

  /** The answer on the stage with what the visible objects measure; rings leave out all of these and no others. */
  measure() {
    const { picture, threshold } = this.scene;
    const score = Math.max(0, threshold - 1e-6); // scores of answers are rounded
    return this.#withKey(() => this.engine.segment(picture.blob, { score, measure: true }));
  }

  async startCamera() {
    this.#running?.abort();
    this.#running = null;
    this.busy = true;
    this.rate = 0;
    this.#tell();
    await this.camera.start({ score: this.lowest });
  }

  stopCamera() {
    this.camera.stop();
    this.busy = false;
    this.#tell();
  }

  #showFrame(picture, result) {
    const now = performance.now();
    const current = 1000 / (now - this.#lastFrame);
    this.rate = this.rate ? 0.8 * this.rate + 0.2 * current : current;
    this.#lastFrame = now;
    this.busy = false;
    this.#show(picture, result);
    this.#tell();
  }

  #show(picture, result) {
    this.#answer = result;
    this.milliseconds = result?.milliseconds.total ?? 0;
    this.scene.show(picture, result);
  }

  /** Is there an answer for the picture on the stage? */
  get answered() {
    return this.#answer !== null;
  }

  async #withKey(call) {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        const key = error.status === 401 && (await this.askKey());
        if (!key) throw error;
        this.engine.useKey(key);
      }
    }
  }

  #fail(error, again = null) {
    if (error.name === "AbortError") return;
    if (!this.camera.live) this.busy = false;
    this.dispatchEvent(new CustomEvent("failure", { detail: { error, again } }));
    this.#tell();
  }

  #tell(state = {}) {
    Object.assign(this, state);
    this.dispatchEvent(new Event("state"));
  }
}

/** The service's own picture of a file that this browser cannot show. */
async function previewOf(file, { preview }) {
  const bitmap = preview ? await decode(new Blob([bytesOf(preview)])) : null;
  if (bitmap) return bitmap;
  throw new EngineError("not_an_image", `This browser cannot show ${file.name}: save it as PNG, then open that.`);
}
