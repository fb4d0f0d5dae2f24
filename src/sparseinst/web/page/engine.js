/** The engine of this page: what finds the objects. A static site puts another file of this name in its place. */
import { ServerEngine } from "./server_engine.js";

export const engine = new ServerEngine();
