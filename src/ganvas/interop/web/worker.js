// Web worker of the page: decodes, checks and translates one picture at a time, then checks and encodes the result.
//
// In:  File
// Out: { kind: "loading", done, total } { kind: "ready", device, notes, gate } { kind: "step", text, done, total, left }
//      { kind: "admitted", width, height } { kind: "done", png, notes, width, height, seconds }
//      { kind: "refused" | "failed" | "broken", text }

import { Admitted, Refusal, admit } from "./gate.js";
import { load, readSettings } from "./network.js";
import { Failure, readPicture } from "./picture.js";
import { encodePNG } from "./png.js";
import { enlarged, mirrored, paddedSize, planTiles, runTiles } from "./tiles.js";

const OTHER_SCALE = 2;
const send = (kind, values = {}) => self.postMessage({ kind, ...values });
const step = (text, progress = {}) => send("step", { text, ...progress });
const ready = start();

async function start() {
  const settings = await readSettings();
  const { classify, network } = await load(settings, (done, total) => send("loading", { done, total }));
  send("ready", { device: network.device, notes: network.notes, gate: classify.problem ?? "" });
  return { settings, classify, network };
}

ready.catch((error) => {
  const remedy = error instanceof Failure ? "" : "; export the page again"; // a failure has its own
  send("broken", { text: error.message.replace(/[.\s]+$/, "") + remedy });
});

self.onmessage = async ({ data: file }) => {
  try {
    await translateFile(file, await ready);
  } catch (error) {
    const known = error instanceof Refusal || error instanceof Failure;
    const text = known ? error.message : `The translation failed: ${error.message ?? error}`;
    send(error instanceof Refusal ? "refused" : "failed", { text });
  }
};

async function translateFile(file, { settings, classify, network }) {
  const started = performance.now();
  step("Reading the picture");
  const picture = await readPicture(file, { most: settings.most_pixels, scale: settings.scale });
  const notes = [...picture.notes, ...checkChannels(picture, settings), ...scaleNotes(picture, settings)];
  step("Checking the picture");
  const admitted = await admit(picture, classify);
  send("admitted", { width: picture.width, height: picture.height });
  step("Translating");
  const { result, exact } = await translate(admitted, settings, network);
  if (!exact) {
    notes.push(
      "The picture was translated in tiles whose seams are blended: each pixel depends on the whole picture, so the " +
        "result differs slightly from that without tiles.",
    );
  }
  step("Checking the result");
  const { picture: made } = await admit(result, classify);
  step("Writing the file");
  const samples = [...(settings.channels.output === 1 ? [0] : [0, 1, 2]), ...(made.transparent ? [3] : [])];
  const png = await encodePNG(made.pixels, made.width, made.height, samples, settings.label);
  const { width, height } = made;
  const seconds = (performance.now() - started) / 1000;
  send("done", { png, notes: [...notes, ...network.notes], width, height, seconds, device: network.device });
}

function checkChannels({ gray }, { channels }) {
  if (channels.input === 3) return [];
  if (!gray) throw new Failure("The picture has colors, but the model takes gray pictures; convert it to gray first.");
  return [];
}

function scaleNotes({ width, height }, { trained_side: trained }) {
  const side = Math.min(width, height);
  if (!trained || (trained < OTHER_SCALE * side && side < OTHER_SCALE * trained)) return [];
  return [
    `The picture is at least ${OTHER_SCALE} times as ${side > trained ? "large" : "small"} as the training's pictures, ` +
      `whose shorter side had ${trained} pixels: details have another scale than in training.`,
  ];
}

async function translate(admitted, settings, network) {
  if (!(admitted instanceof Admitted)) throw new Error("only pictures that the gate admitted are translated");
  const { scale, context, tile, channels } = settings;
  const { picture } = admitted;
  const multiple = settings.size_multiple;
  const [rows, columns] = [picture.height, picture.width].map((size) => paddedSize(size, multiple, settings.smallest_side));
  const plan = planTiles(rows, columns, { tile, multiple, context });
  const result = blankResult(picture, scale);
  const started = performance.now();
  const make = (row, column) => {
    const [height, width] = [(row.stop - row.start) / scale, (column.stop - column.start) / scale];
    return network.run(cut(picture, settings, row.start / scale, column.start / scale, height, width), height, width);
  };
  const done = (count, total) => {
    const left = ((performance.now() - started) / count / 1000) * (total - count);
    if (total > 1) step("Translating", { done: count, total, left });
  };
  const write = (top, finished, height, width, band) => writeRows(result, channels.output, top, finished, height, width, band);
  await runTiles(enlarged(plan, scale), make, write, done, channels.output);
  return { result, exact: plan.exact };
}

// Return a part of the picture as planes in [0, 1], reflected beyond the edges, repeated for each frame of the input.
function cut({ pixels, width, height }, { channels, frames }, top, left, rows, columns) {
  const size = rows * columns;
  const planes = new Float32Array(frames * channels.input * size);
  const places = Int32Array.from({ length: columns }, (_, x) => 4 * mirrored(left + x, width));
  for (let y = 0, at = 0; y < rows; y++) {
    const start = 4 * width * mirrored(top + y, height);
    for (const place of places) {
      for (let channel = 0; channel < channels.input; channel++) {
        planes[channel * size + at] = pixels[start + place + channel] / 255;
      }
      at++;
    }
  }
  for (let frame = 1; frame < frames; frame++) planes.copyWithin(frame * channels.input * size, 0, channels.input * size);
  return planes;
}

function blankResult({ pixels, width, height, transparent }, scale) {
  const [wide, high] = [scale * width, scale * height];
  const made = new Uint8ClampedArray(4 * wide * high).fill(255);
  for (let y = 0; transparent && y < high; y++) {
    const row = Math.floor(y / scale) * width;
    for (let x = 0; x < wide; x++) made[4 * (y * wide + x) + 3] = pixels[4 * (row + Math.floor(x / scale)) + 3];
  }
  return { pixels: made, width: wide, height: high, transparent, gray: false };
}

// Write finished rows of a band (C, height, width) without the padding beyond the picture; gray becomes three samples.
function writeRows(result, channels, top, finished, height, width, band) {
  for (let y = 0; y < finished && top + y < result.height; y++) {
    for (let x = 0; x < result.width; x++) {
      const to = 4 * ((top + y) * result.width + x);
      for (let channel = 0; channel < 3; channel++) {
        const value = band[(Math.min(channel, channels - 1) * height + y) * width + x];
        if (!Number.isFinite(value)) throw new Error("the network gave values that are not finite");
        result.pixels[to + channel] = 255 * value; // a clamped array rounds halves to even
      }
    }
  }
  result.gray = channels === 1;
}
