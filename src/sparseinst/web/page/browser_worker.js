/** Holds the network, so that the page stays responsive; one picture after the other. */
import { EngineError } from "./errors.js";
import { Network } from "./browser_network.js";

let network; // a promise
let turn = Promise.resolve();

self.onmessage = ({ data }) => {
  if (data.model) {
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
    const result = await (await network).segment(blob, options);
    const cells = result.activation?.cells;
    self.postMessage({ id, result }, cells ? [cells.buffer] : []);
  } catch (error) {
    const { code = "failed", message } = error;
    self.postMessage({ id, error: { code, message } });
  }
}
