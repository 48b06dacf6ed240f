// Model and content-gate classifier in ONNX Runtime Web: loading, choice of the device, and inference.

import * as ort from "./ort/ort.webgpu.min.js";
import { isPublished } from "./gate.js";
import { Failure } from "./picture.js";

const MAX_THREADS = 8;
const MAX_DIFFERENCE = 2; // gray levels
const folder = new URL("./", import.meta.url);

/** Return the bytes of a file of the page; report(count) is called with the size of each part that arrives. */
async function fetchBytes(name, report = () => {}) {
  const response = await fetch(new URL(name, folder));
  if (!response.ok) throw new Failure(`${name} cannot be loaded (${response.status}); export the page again`);
  const parts = [];
  let size = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
    report(value.length);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Return the settings that the export wrote. */
export async function readSettings() {
  return JSON.parse(new TextDecoder().decode(await fetchBytes("ganvas.json")));
}

/** Load all files and return { classify, network }; report(loaded, total) is called in bytes as they arrive. */
export async function load(settings, report) {
  let loaded = 0;
  const total = settings.model.bytes + settings.gate.bytes + settings.runtime.bytes;
  const count = (bytes) => report((loaded += bytes), total);
  const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MAX_THREADS) : 1;
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = { mjs: new URL(settings.runtime.loader, folder).href };
  ort.env.wasm.wasmBinary = await fetchBytes(settings.runtime.file, count);
  ort.env.logLevel = "error";
  const classify = await loadClassifier(settings.gate, count);
  const network = await Network.load(settings, await fetchBytes(settings.model.file, count), threads);
  return { classify, network };
}

// On any error, return { problem } instead of the classifier: the gate then refuses every picture and gives the reason.
async function loadClassifier(gate, count) {
  try {
    const bytes = await fetchBytes(gate.file, count);
    if (!(await isPublished(bytes, gate.sha256))) throw new Error("its model is not the published one");
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    return async (input) => {
      const image = new ort.Tensor("float32", input, [1, 224, 224, 3]);
      return (await session.run({ [session.inputNames[0]]: image }))[session.outputNames[0]].data;
    };
  } catch (error) {
    return { problem: error.message };
  }
}

/** The model on the graphics processor, or on the processor if there is no other or its results are wrong. */
class Network {
  static async load(settings, bytes, threads) {
    const network = new Network();
    Object.assign(network, { settings, bytes, threads, notes: [] });
    const reason = await network.tryGraphics();
    if (reason) await network.useProcessor(reason);
    return network;
  }

  get device() {
    if (this.graphics) return "graphics processor (WebGPU)";
    return `processor, ${this.threads} thread${this.threads > 1 ? "s" : ""} (WebAssembly)`;
  }

  // Return why the graphics processor cannot be used: "" if it can, " " if there is none.
  async tryGraphics() {
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
    if (!adapter || adapter.info?.isFallbackAdapter) return " ";
    try {
      this.session = await ort.InferenceSession.create(this.bytes, { executionProviders: ["webgpu"] });
      this.graphics = true;
      const difference = await this.check();
      if (difference <= MAX_DIFFERENCE) return "";
      return `it differs from ganvas by ${difference} gray levels on the check picture`;
    } catch (error) {
      return error.message;
    }
  }

  async useProcessor(reason) {
    if (this.graphics) this.notes.push(`The graphics processor is not used: ${reason}`);
    this.graphics = false;
    await this.session?.release().catch(() => {});
    this.session = await ort.InferenceSession.create(this.bytes, { executionProviders: ["wasm"] });
    this.bytes = null; // the session has its own copy
  }

  // Return the largest difference, in gray levels, from the result of ganvas on the check picture at the export.
  async check() {
    const { file, height, width } = this.settings.check;
    const bytes = await fetchBytes(file);
    const size = this.settings.channels.input * this.settings.frames * height * width;
    const output = await this.infer(Float32Array.from(bytes.subarray(0, size), (level) => level / 255), height, width);
    return output.reduce((most, value, at) => Math.max(most, Math.abs(Math.round(255 * value) - bytes[size + at])), 0);
  }

  /** (C, height, width) in [0, 1] -> (C', scale height, scale width) in [0, 1]. */
  async run(planes, height, width) {
    try {
      return await this.infer(planes, height, width);
    } catch (error) {
      if (!this.graphics) throw error;
      await this.useProcessor(error.message);
      return this.infer(planes, height, width);
    }
  }

  async infer(planes, height, width) {
    const channels = planes.length / (height * width);
    const image = new ort.Tensor("float32", planes, [1, channels, height, width]);
    const { input, output } = this.settings.model;
    const results = await this.session.run({ [input]: image });
    return results[output].data;
  }
}
