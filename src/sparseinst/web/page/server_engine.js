/** The service as an engine: pictures go to `v1/predict`, camera frames through the WebSocket `v1/stream`. */
import { EngineError } from "./errors.js";

const KEY = "sparseinst-api-key";
const OFFLINE =
  "The service does not answer. Check that `sparseinst serve` is running and that this device is connected.";

export class ServerEngine {
  /** Pictures leave the browser. */
  remote = true;

  /** Keeps an API key until the tab is closed. */
  useKey(key) {
    sessionStorage.setItem(KEY, key);
  }

  /** What `GET /v1/model` tells: name, classes, score, note, limits, sample. */
  model() {
    return this.#ask("v1/model");
  }

  /**
   * Finds the objects of one picture.
   * @param {Blob} blob - an encoded picture.
   * @returns one element of "images" of the service's answer, with "milliseconds".
   */
  async segment(blob, { score, activation = false, preview = false, measure = false, signal } = {}) {
    const form = new FormData();
    form.append("image", blob, blob.name ?? "picture");
    const query = new URLSearchParams({ score, activation });
    if (preview) query.set("preview", "true");
    if (measure) query.set("measure", "true");
    const answer = await this.#ask(`v1/predict?${query}`, { method: "POST", body: form, signal });
    return { ...answer.images[0], milliseconds: answer.milliseconds };
  }

  /** Opens the camera's stream: `send(blob)` gives a result, or null for a frame that a newer one replaced. */
  open({ score }) {
    return new ServerStream(score, sessionStorage.getItem(KEY));
  }

  async #ask(path, request = {}) {
    const key = sessionStorage.getItem(KEY);
    const headers = key ? { "X-API-Key": key } : {};
    let response;
    try {
      response = await fetch(new URL(path, document.baseURI), { ...request, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new EngineError("offline", OFFLINE);
    }
    const content = await response.json().catch(() => null);
    if (response.ok && content) return content;
    throw refused(response, content);
  }
}

function refused(response, content) {
  const { code = "failed", message } = content?.error ?? {};
  const retryAfter = Number(response.headers.get("Retry-After")) || undefined;
  const fallback = `The service answered with status ${response.status}; its log tells more.`;
  return new EngineError(code, message ?? fallback, { status: response.status, retryAfter });
}

class ServerStream {
  #waiting = new Map();
  #sent = 0;

  constructor(score, key) {
    const url = new URL(`v1/stream?${new URLSearchParams({ score })}`, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new WebSocket(url);
    this.ready = new Promise((resolve, reject) => {
      this.socket.onopen = () => {
        if (key) this.socket.send(JSON.stringify({ key }));
        resolve();
      };
      this.socket.onclose = (event) => {
        const reason = event.reason ? `The service closed the stream: ${event.reason}` : OFFLINE;
        const error = new EngineError("closed", reason);
        reject(error);
        for (const { reject: fail } of this.#waiting.values()) fail(error);
        this.#waiting.clear();
      };
    });
    this.ready.catch(() => {}); // told to those who send
    this.socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
  }

  async send(blob) {
    await this.ready;
    if (this.socket.readyState !== WebSocket.OPEN) throw new EngineError("closed", OFFLINE);
    const answer = new Promise((resolve, reject) => this.#waiting.set(this.#sent++, { resolve, reject }));
    this.socket.send(blob);
    return answer;
  }

  close() {
    this.socket.close();
  }

  #receive({ frame, images, milliseconds, error, dropped }) {
    const waiting = this.#waiting.get(frame);
    if (!waiting) return;
    this.#waiting.delete(frame);
    if (error) waiting.reject(new EngineError(error.code, error.message));
    else waiting.resolve(dropped ? null : { ...images[0], milliseconds });
  }
}
