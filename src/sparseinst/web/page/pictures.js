/** Pictures come in: dropped, pasted, chosen or taken. */
import { EngineError } from "./errors.js";

/**
 * Calls back with each file that the user brings.
 * @param {HTMLElement} stage - carries the class "dropping" while a file is held over the page.
 */
export function receivePictures(stage, inputs, callback) {
  let held = 0; // enter and leave come for every element under the pointer
  const hold = (by) => stage.classList.toggle("dropping", (held = Math.max(0, held + by)) > 0);
  const hasFile = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => hasFile(event) && hold(1));
  document.addEventListener("dragleave", (event) => hasFile(event) && hold(-1));
  document.addEventListener("dragover", (event) => hasFile(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    hold(-Infinity);
    if (event.dataTransfer.files.length) callback(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (file) callback(file);
  });
  for (const input of inputs) {
    input.addEventListener("change", () => {
      if (input.files.length) callback(input.files[0]);
      input.value = ""; // the same file may be chosen again
    });
  }
}

/** Refuses what the engine would refuse, before it is sent. `limits` as the engine's model tells them. */
export function checkFile(file, limits) {
  const mb = file.size / 1e6;
  if (file.type && !file.type.startsWith("image/")) {
    throw new EngineError("not_an_image", `The file ${file.name} is no picture: choose a PNG, JPEG, WebP, BMP or TIFF file.`);
  }
  if (limits?.body_mb && mb > limits.body_mb) {
    const advice = "save it smaller or as JPEG";
    throw new EngineError("body_too_large", `The file ${file.name} has ${mb.toFixed(1)} MB, at most ${limits.body_mb} are taken: ${advice}.`);
  }
}

/** The picture as this browser shows it, upright; null if it cannot. */
export function decode(blob) {
  return createImageBitmap(blob, { imageOrientation: "from-image" }).catch(() => null);
}

/** The content of a base64 data URL. */
export function bytesOf(url) {
  return Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
}
