/** The network in the browser: one picture in, what was found out. Runs in a worker (see `browser_worker.js`). */
import * as ort from "./ort/ort.js";
import { activationCells, joinMaps } from "./browser_maps.js";
import { columnsOf, encodeMask } from "./browser_masks.js";
import { merge } from "./browser_merging.js";
import { readPixels } from "./browser_pixels.js";
import { prepare } from "./browser_prepare.js";
import { cut, pixelsOf } from "./browser_tiles.js";
import { EngineError } from "./errors.js";

const MOST_THREADS = 4;

// Threads share memory, which browsers allow only to pages that are served with the isolation headers.
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;

export class Network {
  #session;
  #model;

  /** @param model - the content of model.json. */
  static async open(model) {
    const network = new Network();
    network.#model = model;
    const response = await fetch(new URL(model.network.file, import.meta.url));
    if (!response.ok) throw new Error(`${model.network.file}: status ${response.status}`);
    const content = new Uint8Array(await response.arrayBuffer());
    network.#session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
    return network;
  }

  /**
   * Finds the objects of one picture, best first; what is too large for one pass is seen in tiles, one after the other.
   * @param {Blob} blob - an encoded picture.
   * @param {{score: number, activation: boolean}} options - lowest score to keep; whether to give activation maps.
   * @param {(done: number, of: number) => Promise<void>} [onTile] - awaited before each tile of several.
   * @returns one element of "images" of the service's answer, with "milliseconds".
   */
  async segment(blob, options, onTile) {
    const start = performance.now();
    const { rgba, size } = await readPixels(blob, this.#model.limits.pixels);
    const spent = { prepare: performance.now() - start, network: 0 };
    const { network } = this.#model;
    const { windows, margin } = cut(size, network);
    const parts = [];
    for (const window of windows) {
      if (windows.length > 1) await onTile?.(parts.length, windows.length);
      const pixels = windows.length > 1 ? pixelsOf(rgba, size[1], window) : rgba;
      parts.push(await this.#pass(pixels, [window.bottom - window.top, window.right - window.left], options, spent));
    }
    const found = parts.map(({ instances }) => instances);
    const { instances, leaders } = merge(found, { windows, margin }, size, network.least_piece);
    const order = [...instances.keys()].sort((a, b) => instances[b].score - instances[a].score);
    const best = order.map((number, i) => ({ id: i + 1, ...instances[number] }));
    const result = { width: size[1], height: size[0], instances: best };
    if (options.activation) {
      const maps = parts.map((part) => part.maps);
      result.activation = joinMaps(maps, windows, order.map((number) => leaders[number]));
    }
    const total = performance.now() - start;
    result.milliseconds = { ...spent, masks: total - spent.prepare - spent.network, total };
    return result;
  }

  /** What the network finds in pixels that one pass holds; adds what it takes to the milliseconds `spent`. */
  async #pass(rgba, size, { score, activation }, spent) {
    const start = performance.now();
    const { pixels, sizes } = prepare(rgba, size, this.#model.network.preprocess);
    const prepared = performance.now();
    const outputs = await this.#run(pixels, sizes, activation);
    spent.prepare += prepared - start;
    spent.network += performance.now() - prepared;
    const instances = this.#select(outputs, sizes, score);
    const maps = activation && this.#maps(outputs, instances, sizes);
    for (const output of Object.values(outputs)) output.dispose();
    return { instances, maps };
  }

  #run(pixels, { frame, resized }, activation) {
    const { images } = this.#model.network;
    const values = images === "uint8" ? pixels : Float32Array.from(pixels);
    const inputs = {
      images: new ort.Tensor(images, values, [1, 3, ...frame]),
      resized_hw: new ort.Tensor("int64", BigInt64Array.from(resized, BigInt), [1, 2]),
    };
    const wanted = ["scores", "labels", "masks", "gate"];
    return this.#session.run(inputs, activation ? [...wanted, "activation"] : wanted);
  }

  /** As `modeling/postprocess.py` and `Predictor` do it: in the order of the slots, without empty masks. */
  #select({ scores, labels, masks, gate }, sizes, score) {
    const { classes, network } = this.#model;
    const [height, width] = masks.dims.slice(2);
    const columns = columnsOf(width, sizes);
    const [least, leastGate] = [Math.fround(score), Math.fround(network.gate)];
    const found = [];
    for (let slot = 0; slot < scores.data.length; slot++) {
      if (!(gate.data[slot] > leastGate && scores.data[slot] >= least)) continue;
      const mask = masks.data.subarray(slot * height * width, (slot + 1) * height * width);
      const { mask_threshold: threshold, least_piece: leastPiece } = network;
      const encoded = encodeMask(mask, [height, width], columns, sizes, threshold, leastPiece);
      if (!encoded) continue;
      const label = Number(labels.data[slot]);
      found.push({
        label,
        class: classes[label],
        score: scores.data[slot],
        bbox: encoded.bbox,
        area: encoded.area,
        slot,
        segmentation: { size: sizes.original, counts: encoded.counts },
      });
    }
    return found;
  }

  #maps({ activation, scores }, instances, sizes) {
    const chosen = instances.map(({ slot }) => slot);
    const network = {
      groups: this.#model.groups,
      slots: scores.dims[1],
      activation: this.#model.network.activation,
    };
    return activationCells(activation.data, activation.dims.slice(2), chosen, network, sizes);
  }
}
