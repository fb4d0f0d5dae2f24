/** The network in this browser as an engine: pictures leave nothing but a worker's answer. */
import { EngineError } from "./errors.js";

const BROKEN = "The worker that runs the network could not be started. Use a current browser and load the page again.";

export class BrowserEngine {
  /** Pictures stay in the browser. */
  remote = false;

  #worker = new Worker(new URL("./browser_worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #sent = 0;
  #broken;
  #model = this.#start();

  constructor() {
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = () => {
      this.#broken = new EngineError("no_worker", BROKEN);
      for (const { reject } of this.#waiting.values()) reject(this.#broken);
      this.#waiting.clear();
    };
  }

  /** What model.json tells: name, classes, score, note, limits, sample. The network is loaded meanwhile. */
  model() {
    return this.#model;
  }

  /**
   * Finds the objects of one picture, with their activation maps, which cost little here.
   * @param {Blob} blob - an encoded picture of 8 bits a channel.
   * @param {{score: number, signal: AbortSignal, onProgress: (progress: {done: number, of: number}) => void}} options -
   *   of a picture in tiles it is told how many are done.
   * @returns one element of "images" of the service's answer, with "milliseconds".
   */
  segment(blob, { score, signal, onProgress } = {}) {
    return this.#ask(blob, score, true, { signal, onProgress });
  }

  /** Frames of a camera, in turn. */
  open({ score }) {
    return { send: (blob) => this.#ask(blob, score, false), close() {} };
  }

  async #start() {
    const response = await fetch(new URL("./model.json", import.meta.url)).catch(() => null);
    const model = response?.ok && (await response.json().catch(() => null));
    if (!model) throw new EngineError("no_network", "The file model.json of this site could not be read.");
    this.#worker.postMessage({ model });
    return model;
  }

  async #ask(blob, score, activation, { signal, onProgress } = {}) {
    const model = await this.#model;
    signal?.throwIfAborted();
    if (this.#broken) throw this.#broken;
    const id = this.#sent++;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject, onProgress }));
    const drop = () => this.#worker.postMessage({ drop: id });
    this.#worker.postMessage({ id, blob, options: { score: score ?? model.score, activation } });
    signal?.addEventListener("abort", drop);
    try {
      return await answer;
    } finally {
      signal?.removeEventListener("abort", drop);
      signal?.throwIfAborted();
    }
  }

  #receive({ id, progress, result, error }) {
    const { resolve, reject, onProgress } = this.#waiting.get(id);
    if (progress) return onProgress?.(progress);
    this.#waiting.delete(id);
    if (error) reject(new EngineError(error.code, error.message));
    else resolve(result);
  }
}
