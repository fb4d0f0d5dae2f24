/** Looking at objects on the stage: the pointer lights them up and picks them, keys walk through them. */

const PAN_PX = 60;
const ARROWS = { ArrowRight: [1, 0], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowUp: [0, -1] };

/**
 * @param {import("./view.js").View} view
 * @param {import("./scene.js").Scene} scene
 * @param {HTMLElement} tooltip - follows the pointer and tells of the object under it.
 */
export function pointAtObjects(view, scene, tooltip) {
  view.top.addEventListener("point", ({ detail: place }) => {
    const item = place && scene.at(...view.toPicture(place.x, place.y));
    scene.hover(item);
    view.top.style.cursor = item ? "pointer" : "";
    tooltip.hidden = !item;
    if (item) placeTooltip(tooltip, item, place, view.top);
  });
  view.top.addEventListener("pick", ({ detail: place }) => scene.select(scene.at(...view.toPicture(place.x, place.y))));
  scene.addEventListener("picture", () => (tooltip.hidden = true));
}

function placeTooltip(tooltip, item, { x, y }, stage) {
  const name = Object.assign(document.createElement("b"), { textContent: `${item.name} ${item.number}` });
  tooltip.replaceChildren(name, `score ${item.score.toFixed(2)}`, document.createElement("br"), `${item.area.toFixed(0)} px`);
  const left = x + 16 + tooltip.offsetWidth > stage.clientWidth ? x - 12 - tooltip.offsetWidth : x + 16;
  const top = Math.min(y + 16, stage.clientHeight - tooltip.offsetHeight - 4);
  tooltip.style.transform = `translate(${Math.max(0, left)}px, ${Math.max(0, top)}px)`;
}

/** @param {import("./table.js").ObjectTable} table - in whose order the arrow keys walk. */
export function walkByKeys(view, scene, table) {
  view.top.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow && event.shiftKey) view.pan(-PAN_PX * arrow[0], -PAN_PX * arrow[1]);
    else if (arrow) table.step(arrow[0] + arrow[1]);
    else if (event.key === "+" || event.key === "=") view.zoom(1.5);
    else if (event.key === "-") view.zoom(1 / 1.5);
    else if (event.key === "0") view.fit();
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) scene.select(null);
  });
  scene.addEventListener("select", () => scene.selected && view.reveal(scene.selected.box));
}
