/** From an encoded picture to its pixels, as the browser decodes it. */
import { EngineError } from "./errors.js";

const PNG = [0x89, 0x50, 0x4e, 0x47];
const PNG_BITS = 24;

/**
 * Reads a picture with 8 bits a channel; EXIF orientation is applied, colour profiles are not. Alpha is to be dropped,
 * but what a pixel hides is lost: where it is transparent its colour is black, where it nearly is, a rough one.
 * @param {Blob} blob - an encoded picture.
 * @param {number} mostPixels
 * @returns {Promise<{rgba: Uint8ClampedArray, size: [number, number]}>} values row by row; height and width.
 * @throws {EngineError} no picture, one of more bits or one that is too large.
 */
export async function readPixels(blob, mostPixels) {
  await refuseDeep(blob);
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      colorSpaceConversion: "none",
      imageOrientation: "from-image",
      premultiplyAlpha: "none",
    });
  } catch {
    throw new EngineError(
      "not_an_image",
      "This browser cannot read the file as a picture. Give a PNG, JPEG or WebP file.",
    );
  }
  try {
    const { width, height } = bitmap;
    if (width * height > mostPixels) {
      const got = `${width} x ${height} pixels, more than ${mostPixels / 1e6} million`;
      throw new EngineError("image_too_large", `The picture has ${got}. Cut it into parts or make it smaller.`);
    }
    const canvas = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    canvas.drawImage(bitmap, 0, 0);
    return { rgba: canvas.getImageData(0, 0, width, height).data, size: [height, width] };
  } finally {
    bitmap.close();
  }
}

/** A browser would silently keep the upper 8 of 16 bits, of which a micrograph often uses few: better say so. */
async function refuseDeep(blob) {
  const head = new Uint8Array(await blob.slice(0, PNG_BITS + 1).arrayBuffer());
  if (PNG.every((byte, i) => head[i] === byte) && head[PNG_BITS] === 16) {
    throw new EngineError(
      "deep_image",
      "The picture has 16 bits a channel, of which a browser sees 8. Save it with 8 bits, or use `sparseinst predict`.",
    );
  }
}
