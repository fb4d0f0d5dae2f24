/** Mouse, pen and touch on a canvas: wheel and pinch zoom, a drag pans, a tap picks, a mouse hovers. */

/** A pointer that moved less than this is a tap. */
const TAP_PX = 5;

/**
 * @param {HTMLCanvasElement} canvas - what is touched; it gets the events "pick" and "point", whose `detail` is
 *   {x, y} in CSS pixels of the canvas; null when the pointer left.
 * @param {{zoom, pan, fit, fitted}} view - what moves.
 */
export function listenToGestures(canvas, view) {
  const pointers = new Map();
  let moved = 0;
  let pinched = false;
  const place = (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const tell = (name, detail) => canvas.dispatchEvent(new CustomEvent(name, { detail }));

  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button !== 0) return;
    if (!pointers.size) [moved, pinched] = [0, false];
    pointers.set(event.pointerId, place(event));
    pinched ||= pointers.size > 1;
    canvas.setPointerCapture(event.pointerId);
  });

  canvas.addEventListener("pointermove", (event) => {
    const now = place(event);
    const last = pointers.get(event.pointerId);
    if (!last) return tell("point", now);
    const before = spread(pointers);
    pointers.set(event.pointerId, now);
    if (pointers.size > 1) {
      const after = spread(pointers);
      view.zoom(after.span / before.span, after.x, after.y);
      view.pan(after.x - before.x, after.y - before.y);
    } else {
      moved += Math.hypot(now.x - last.x, now.y - last.y);
      if (moved > TAP_PX) view.pan(now.x - last.x, now.y - last.y);
    }
  });

  canvas.addEventListener("pointerup", (event) => {
    if (pointers.delete(event.pointerId) && moved <= TAP_PX && !pinched) tell("pick", place(event));
  });
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => tell("point", null));

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
      const { x, y } = place(event);
      // a trackpad's pinch comes as a wheel with Ctrl, in small steps
      view.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0018)), x, y);
    },
    { passive: false },
  );
  canvas.addEventListener("dblclick", (event) => {
    const { x, y } = place(event);
    if (view.fitted) view.zoom(2.5, x, y);
    else view.fit();
  });
}

/** Middle of the first two pointers and the distance between them. */
function spread(pointers) {
  const [a, b = a] = [...pointers.values()];
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, span: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) };
}
