// Content gate of the page: Open NSFW scores each picture before the network and each result after it.
//
// The rules are those of ganvas/content_gate/gate.py, and the preprocessing gives the same bytes. The gate fails
// closed: it refuses if the model is missing or not the expected one, on any error, and if a score is not a number in
// [0, 1].

import { jpegRoundTrip } from "./jpeg.js";
import { resizeToRGB } from "./resize.js";
import { sha256 } from "./sha256.js";

const THRESHOLD = 0.8;
const LEAST_CONTRAST = 64; // levels
const SAMPLED_PIXELS = 2 ** 17; // for measuring the contrast
const [RESIZED, CROP, OFFSET] = [256, 224, 16];
const MEAN_BGR = [104, 117, 123];
const KEY = Symbol("content gate");

/** Error thrown for a picture that the gate refuses. */
export class Refusal extends Error {}

/** Picture that the gate has admitted; the network and the writer of results accept nothing else. */
export class Admitted {
  constructor(picture, score, key) {
    if (key !== KEY) throw new Error("only the content gate admits pictures");
    this.picture = picture;
    this.score = score;
    Object.freeze(this);
  }
}

/** Return whether the bytes of the model have the SHA-256 that the export recorded. */
export const isPublished = async (bytes, expected) => /^[0-9a-f]{64}$/.test(expected) && (await sha256(bytes)) === expected;

/**
 * Admit a picture or refuse it.
 *
 * picture: { pixels: RGBA, width, height, gray }; classify: resolves (224, 224, 3), BGR minus the mean, to the
 * probabilities [safe, unsafe].
 */
export async function admit(picture, classify) {
  let score = 0;
  try {
    if (typeof classify !== "function") throw new Error(classify?.problem ?? "its model is not loaded");
    for (const pixels of views(picture)) {
      const [, unsafe] = await classify(recordInput(pixels, picture.width, picture.height));
      if (!(unsafe >= 0 && unsafe <= 1)) throw new Error(`it gave no usable score (${unsafe})`);
      score = Math.max(score, unsafe);
    }
  } catch (error) {
    throw new Refusal(`The content gate could not check this picture, so it is refused: ${error.message}`);
  }
  if (score > THRESHOLD) {
    throw new Refusal(
      `The content gate refuses this picture: Open NSFW scores it ${score.toFixed(3)}, above ${THRESHOLD}. ` +
        "A sheet of many pictures can score high by mistake: split it into its pictures.",
    );
  }
  return new Admitted(picture, score, KEY);
}

// Yield the picture and, if it is very dark, very bright or flat, a copy with stretched contrast.
function* views({ pixels, width, height, gray }) {
  yield pixels;
  const [low, high] = tails(pixels, width, height, gray ? 1 : 3);
  if (!(high - low > 0 && high - low < LEAST_CONTRAST)) return;
  const levels = Uint8Array.from({ length: 256 }, (_, level) =>
    roundHalfEven(255 * Math.min(Math.max((level - low) / (high - low), 0), 1)),
  );
  yield pixels.map((level) => levels[level]);
}

function roundHalfEven(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 ? below + 1 : below;
}

// Return the 0.5th and 99.5th percentiles of the levels in every n-th row and column.
function tails(pixels, width, height, channels) {
  const step = Math.max(1, Math.floor(Math.sqrt(Math.floor((width * height) / SAMPLED_PIXELS))));
  const counts = new Float64Array(256);
  let count = 0;
  for (let y = 0; y < height; y += step) {
    for (let x = 0; x < width; x += step, count += channels) {
      for (let channel = 0; channel < channels; channel++) counts[pixels[4 * (y * width + x) + channel]]++;
    }
  }
  return [0.5 / 100, 99.5 / 100].map((share) => percentile(counts, (count - 1) * share, count - 1));
}

function percentile(counts, place, last) {
  const at = (rank) => {
    let level = 0;
    for (let seen = counts[0]; seen <= rank; seen += counts[level]) level++;
    return level;
  };
  const rank = Math.floor(place);
  const [low, high, share] = [at(rank), at(Math.min(rank + 1, last)), place - rank];
  return share < 0.5 ? low + (high - low) * share : high - (high - low) * (1 - share);
}

/** Return the classifier input of the record score, (224, 224, 3): resize, JPEG, center crop, BGR minus the mean. */
export function recordInput(rgba, width, height) {
  const seen = jpegRoundTrip(resizeToRGB(rgba, width, height, RESIZED, RESIZED), RESIZED, RESIZED);
  const input = new Float32Array(3 * CROP * CROP);
  for (let y = 0, to = 0; y < CROP; y++) {
    for (let x = 0, at = 3 * ((y + OFFSET) * RESIZED + OFFSET); x < CROP; x++, at += 3) {
      for (let channel = 0; channel < 3; channel++) input[to++] = seen[at + 2 - channel] - MEAN_BGR[channel];
    }
  }
  return input;
}
