/** Calls functions of modules for tests in Python: a line of JSON in ({module, name, args}), a line of JSON out. */
import { createInterface } from "node:readline";

const KINDS = { Uint8Array, Uint8ClampedArray, Uint16Array, Uint32Array, Int32Array, Float32Array, Float64Array };

function revive(key, value) {
  if (typeof value?.base64 !== "string") return value; // an empty array has an empty text
  const bytes = Uint8Array.from(Buffer.from(value.base64, "base64"));
  return new KINDS[value.kind](bytes.buffer);
}

function plain(key, value) {
  if (!ArrayBuffer.isView(value)) return value;
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return { kind: value.constructor.name, base64: bytes.toString("base64") };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { module, name, args } = JSON.parse(line, revive);
  const result = await (await import(module))[name](...args);
  console.log(JSON.stringify(result, plain));
}
