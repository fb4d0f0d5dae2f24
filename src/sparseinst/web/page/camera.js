/** The camera, live: each frame is shown with its own objects, and the next one is taken when its answer is here. */
import { EngineError } from "./errors.js";

const QUALITY = 0.9;
const PAUSE_MS = 500;

export class Camera {
  #stream = null;
  #video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });

  /**
   * @param {object} engine
   * @param {{onFrame: (picture, result) => void, onError: (error) => void}} callbacks
   */
  constructor(engine, callbacks) {
    this.engine = engine;
    this.callbacks = callbacks;
  }

  get live() {
    return this.#stream !== null;
  }

  /** Asks for the camera and runs until `stop`. */
  async start(options) {
    let stream;
    try {
      stream = await openCamera();
    } catch (error) {
      return this.#fail(error);
    }
    this.#stream = stream;
    this.#video.srcObject = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => this.#fail(new EngineError("camera", "The camera was unplugged.")));
    const frames = this.engine.open(options);
    try {
      await this.#video.play();
      while (this.#stream === stream) await this.#frame(frames, stream);
    } catch (error) {
      if (this.#stream === stream) this.#fail(error);
    } finally {
      frames.close();
    }
  }

  /** Turns the camera off; the last frame stays on the stage. */
  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.#video.srcObject = null;
  }

  async #frame(frames, stream) {
    if (document.hidden) return pause(PAUSE_MS);
    const bitmap = await createImageBitmap(this.#video);
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
    let result;
    try {
      result = await frames.send(blob);
    } catch (error) {
      if (error.final || error.code === "closed" || this.#stream !== stream) throw error;
      this.callbacks.onError(error); // a busy service may take the next frame
      return pause(PAUSE_MS);
    }
    if (result && this.#stream === stream) this.callbacks.onFrame({ bitmap, blob, name: "camera.jpg" }, result);
    else bitmap.close();
  }

  #fail(error) {
    this.stop();
    this.callbacks.onError(error);
  }
}

async function openCamera() {
  if (!navigator.mediaDevices) {
    const reason = "Browsers give the camera only to pages that come by https or from this machine (localhost).";
    throw new EngineError("camera", reason);
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
  } catch (error) {
    const refused = error.name === "NotAllowedError";
    const advice = refused
      ? "The camera was refused. Allow it in the browser's settings of this page, then try again."
      : `No camera could be opened (${error.message}). Check that one is connected and free.`;
    throw new EngineError("camera", advice);
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
