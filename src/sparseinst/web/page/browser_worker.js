/** Holds the network, so that the page stays responsive; one picture after the other. */
import { EngineError } from "./errors.js";
import { Network } from "./browser_network.js";

let network; // a promise
let turn = Promise.resolve();
const dropped = new Set(); // numbers of questions that nobody waits for any more

self.onmessage = ({ data }) => {
  if ("drop" in data) dropped.add(data.drop);
  else if (data.model) {
    network = open(data.model);
    network.catch(() => {}); // told to those who ask
  } else turn = turn.then(() => answer(data));
};

async function open(model) {
  try {
    return await Network.open(model);
  } catch (error) {
    throw new EngineError("no_network", `The network could not be loaded (${error.message}). Load the page again.`);
  }
}

async function answer({ id, blob, options }) {
  try {
    const result = await (await network).segment(blob, options, (done, of) => between(id, done, of));
    const cells = result.activation?.cells;
    self.postMessage({ id, result }, cells ? [cells.buffer] : []);
  } catch (error) {
    const { code = "failed", message } = error;
    self.postMessage({ id, error: { code, message } });
  } finally {
    dropped.delete(id);
  }
}

/** Before each tile: tells how far it is, hears whether the picture is still wanted. */
async function between(id, done, of) {
  self.postMessage({ id, progress: { done, of } });
  await new Promise((resolve) => setTimeout(resolve)); // what was sent meanwhile is received now
  if (dropped.has(id)) throw new EngineError("dropped", "The picture is no longer wanted.");
}
