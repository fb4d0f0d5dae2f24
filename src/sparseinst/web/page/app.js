/** Puts the page together: the finder fills the scene, and everything else shows it. */
import { Controls } from "./controls.js";
import { askKey, inWords, say } from "./dialogs.js";
import { download } from "./downloads.js";
import { engine } from "./engine.js";
import { Finder } from "./finder.js";
import { paintHeat, paintLabels, paintLit, paintMasks, paintPicture } from "./paint.js";
import { receivePictures } from "./pictures.js";
import { pointAtObjects, walkByKeys } from "./pointing.js";
import { Scene } from "./scene.js";
import { countsOf, headline } from "./summary.js";
import { ObjectTable } from "./table.js";
import { View } from "./view.js";
import { WhyPanel } from "./why.js";

const LOOKING = engine.remote ? "Looking for objects" : "Looking for objects; at first, the network is loaded";
const find = (id) => document.getElementById(id);
const scene = new Scene();
const controls = new Controls(scene);
const finder = new Finder(engine, scene, () => askKey(find("key")));
// before the table, which scrolls to the selected row in what room is left
const why = new WhyPanel(find("why"), scene, () => finder.explain());
const table = new ObjectTable(document.querySelector("#objects table"), scene);
const view = new View(find("base"), find("top"), { paintBase, paintTop });

function paintBase(context) {
  if (!scene.picture) return;
  const lineWidth = 1.5 / view.scale;
  paintPicture(context, scene, view.scale * devicePixelRatio);
  const over = why.over;
  if (over) paintHeat(context, scene, over.item, over.heat, lineWidth);
  else paintMasks(context, scene, controls.look, lineWidth);
}

function paintTop(context) {
  const { hovered, selected } = scene;
  const lineWidth = 1 / view.scale;
  if (selected && !why.over) paintLit(context, selected, lineWidth, false);
  if (hovered && hovered !== selected) paintLit(context, hovered, lineWidth, true);
  if (!controls.look.labels || why.over) return;
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  paintLabels(context, scene, controls.look, (x, y) => view.toStage(x, y));
}

const actions = {
  choose: () => find("file").click(),
  take: () => find("photo").click(),
  camera: () => (finder.camera.live ? finder.stopCamera() : finder.startCamera()),
  sample: () => finder.openSample(),
  in: () => view.zoom(1.5),
  out: () => view.zoom(1 / 1.5),
  fit: () => view.fit(),
  clear: () => scene.select(null),
};

function summarise() {
  if (!finder.answered) return;
  const found = headline(scene, finder.milliseconds);
  const rate = `${finder.rate.toFixed(1)} frames a second`;
  find("headline").textContent = finder.camera.live ? `${found}, ${rate}` : found;
  const lines = countsOf(scene).map((text) => Object.assign(document.createElement("li"), { textContent: text }));
  find("counts").replaceChildren(...lines);
}

function showState() {
  const { answered, busy, camera, progress } = finder;
  const looking = progress ? `Looking for objects, part ${progress.done + 1} of ${progress.of}` : LOOKING;
  if (busy && !answered) find("headline").textContent = camera.live ? "Waiting for the camera" : looking;
  find("headline").ariaLive = camera.live ? "off" : "polite"; // not every frame is news
  find("busy").hidden = !busy;
  find("camera").textContent = camera.live ? "Stop camera" : "Camera";
  find("camera").ariaPressed = String(camera.live);
  find("welcome").hidden ||= scene.picture !== null;
  find("zoom").hidden = scene.picture === null;
  find("objects").hidden = find("downloads").hidden = !answered;
  find("measure").hidden = camera.live || !finder.model?.measures;
}

function introduce({ name, version, classes, note, sample, score }) {
  find("model").textContent = name;
  find("note").textContent = find("about-note").textContent = note ?? "";
  find("note").hidden = !note;
  find("model").hidden = find("about").hidden = false;
  const known = classes.length === 1 ? `one class, ${classes[0]}` : `${classes.length} classes: ${classes.join(", ")}`;
  find("about-text").textContent = `${name} (sparseinst ${version}) knows ${known}.`;
  for (const button of document.querySelectorAll("[data-do=sample]")) button.hidden = !sample;
  find("score").min = finder.lowest;
  controls.threshold = score;
}

function tellSelected() {
  const { selected: item } = scene;
  find("told").textContent = item
    ? `${item.name} ${item.number}, score ${item.score.toFixed(2)}, area ${item.area.toFixed(0)} pixels`
    : "";
}

for (const button of document.querySelectorAll("[data-do]")) {
  button.addEventListener("click", () => actions[button.dataset.do]());
}
for (const button of document.querySelectorAll("[data-get]")) {
  const { look } = controls;
  button.addEventListener("click", async () => {
    const context = { classes: finder.model.classes, look, measure: () => finder.measure() };
    button.disabled = true;
    await download(button.dataset.get, scene, context).catch(fail);
    button.disabled = false;
  });
}

function fail(error, again) {
  say(find("message"), inWords(error), again ? { label: "Try again", run: again } : null);
}

scene.addEventListener("picture", () => {
  say(find("message"), null);
  view.setPicture(scene.width, scene.height);
  summarise();
});
scene.addEventListener("visible", () => {
  view.repaint();
  summarise();
});
scene.addEventListener("hover", () => view.repaintTop());
scene.addEventListener("select", () => {
  view.repaint();
  tellSelected();
});
controls.addEventListener("change", () => view.repaint());
why.addEventListener("change", () => view.repaint());
finder.addEventListener("state", showState);
finder.addEventListener("failure", ({ detail: { error, again } }) => fail(error, again));
finder.addEventListener("model", () => introduce(finder.model));
receivePictures(find("stage"), [find("file"), find("photo")], (file) => finder.open(file));
pointAtObjects(view, scene, find("tooltip"));
walkByKeys(view, scene, table);
find("privacy").textContent = engine.remote
  ? "Pictures go to the service that sent this page, which does not keep them."
  : "Pictures stay in this browser: nothing is sent.";
finder.start();
