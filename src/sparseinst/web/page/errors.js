/** Errors of the picture itself: the same picture will fail again. */
const OF_THE_PICTURE = new Set([
  "not_an_image", "undecodable", "content_type", "deep_image", "body_too_large", "image_too_large",
]);

/** What went wrong, in words that can be shown as they are. */
export class EngineError extends Error {
  /**
   * @param {string} code - one word for programs, as the service gives it.
   * @param {string} message - one or two sentences for people.
   * @param {{status?: number, retryAfter?: number}} more - HTTP status; seconds after which to try again.
   */
  constructor(code, message, { status = 0, retryAfter } = {}) {
    super(message);
    this.name = "EngineError";
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether it is of no use to try again. */
  get final() {
    return OF_THE_PICTURE.has(this.code);
  }
}
