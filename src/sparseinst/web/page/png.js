/** Grey PNG files, in and out: labels need 16 bits, which a canvas does not have, and maps more rows than it allows. */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/**
 * Writes a 16-bit grey PNG.
 * @param {(x: number, y: number) => number} value - 0..65535 at a pixel.
 * @returns {Promise<Blob>}
 */
export async function encodeGrey16(width, height, value) {
  const stride = 1 + 2 * width; // a filter byte (0: none), then big-endian values
  const rows = new Uint8Array(stride * height);
  for (let y = 0, at = 0; y < height; y++) {
    at++;
    for (let x = 0; x < width; x++) {
      const grey = value(x, y);
      rows[at++] = grey >> 8;
      rows[at++] = grey;
    }
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 16); // bits; the rest 0: grey, deflate, usual filters, not interlaced
  const parts = [
    new Uint8Array(SIGNATURE),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("IDAT", await pump(rows, new CompressionStream("deflate"))),
    chunk("IEND", new Uint8Array(0)),
  ];
  return new Blob(parts, { type: "image/png" });
}

/**
 * Reads an 8-bit grey PNG that is not interlaced.
 * @param {Uint8Array} file
 * @returns {Promise<{width: number, height: number, values: Uint8Array}>} values row by row.
 */
export async function decodeGrey8(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  if (SIGNATURE.some((byte, i) => file[i] !== byte) || file[24] !== 8 || file[25] !== 0 || file[28] !== 0) {
    throw new Error("expected an 8-bit grey PNG that is not interlaced");
  }
  const parts = [];
  for (let at = 8; at < file.length; at += 12 + view.getUint32(at)) {
    const name = String.fromCharCode(...file.subarray(at + 4, at + 8));
    if (name === "IDAT") parts.push(file.subarray(at + 8, at + 8 + view.getUint32(at)));
  }
  const rows = await pump(new Blob(parts), new DecompressionStream("deflate"));
  const values = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) unfilter(rows, values, y, width);
  return { width, height, values };
}

/** Undoes the filter of one row: each value was stored as its difference from what its neighbours foretell. */
function unfilter(rows, values, y, width) {
  const from = y * (width + 1);
  const to = y * width;
  const kind = rows[from];
  for (let x = 0; x < width; x++) {
    const left = x ? values[to + x - 1] : 0;
    const up = y ? values[to + x - width] : 0;
    const corner = x && y ? values[to + x - width - 1] : 0;
    let foretold = 0;
    if (kind === 1) foretold = left;
    else if (kind === 2) foretold = up;
    else if (kind === 3) foretold = (left + up) >> 1;
    else if (kind === 4) foretold = paeth(left, up, corner);
    values[to + x] = rows[from + 1 + x] + foretold;
  }
}

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const a = Math.abs(guess - left);
  const b = Math.abs(guess - up);
  const c = Math.abs(guess - corner);
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

async function pump(content, stream) {
  const through = new Blob([content]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(through).arrayBuffer());
}

function chunk(name, content) {
  const bytes = new Uint8Array(12 + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set([...name].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(content, 8);
  view.setUint32(8 + content.length, crc32(bytes.subarray(4, 8 + content.length)));
  return bytes;
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

function crc32(bytes) {
  let sum = -1;
  for (const byte of bytes) sum = CRC[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}
