// Reflection padding and plans of overlapping tiles: ganvas/inference/tiling.py in the browser.

const SMALLEST_SIDE = 16;
const roundUp = (value, multiple) => Math.ceil(value / multiple) * multiple;

/** Return the next larger size that the network accepts. */
export const paddedSize = (size, multiple, smallest) => roundUp(Math.max(size, SMALLEST_SIDE, smallest), multiple);

/** Return the index in 0 .. size - 1 for a place beyond the edge, as reflection padding does: 0 1 2 1 0 1 .... */
export function mirrored(place, size) {
  const index = place % Math.max(2 * size - 2, 1);
  return index < size ? index : 2 * size - 2 - index;
}

/**
 * Return the exact plan if there is one, else the blended plan: spans of rows and of columns, and the pixels over which
 * neighbors are blended.
 *
 * height, width: of the padded picture; tile: largest side of the network's input; context: pixels around an output
 * pixel that influence it, null if all of them do.
 */
export function planTiles(height, width, { tile, multiple, context }) {
  const size = Math.floor(tile / multiple) * multiple;
  if (height <= size && width <= size) return { rows: whole(height), columns: whole(width), fade: 0, exact: true };
  const margin = context === null ? 0 : roundUp(context, multiple);
  if (context !== null && 2 * margin < size) {
    const [rows, columns] = [height, width].map((length) => exactTiles(length, size, margin));
    return { rows, columns, fade: 0, exact: true };
  }
  const blended = Math.floor(size / 8);
  const [rows, columns] = [height, width].map((length) => blendedTiles(length, size, blended, multiple));
  return { rows, columns, fade: 2 * blended, exact: false };
}

const span = (start, stop, keepStart = start, keepStop = stop) => ({ start, stop, keepStart, keepStop });
const whole = (length) => [span(0, length)];

// Adjacent spans, each computed from `margin` more pixels on both sides.
function exactTiles(length, tile, margin) {
  const part = tile - 2 * margin;
  return Array.from({ length: Math.ceil(length / part) }, (_, index) => {
    const start = index * part;
    const stop = Math.min(start + part, length);
    return span(Math.max(start - margin, 0), Math.min(start + part + margin, length), start, stop);
  });
}

// Spans of one size whose neighbors share at least 2 `margin` pixels, on the network's grid if possible.
function blendedTiles(length, tile, margin, multiple) {
  if (length <= tile) return whole(length);
  const free = tile - 2 * margin;
  const step = Math.floor(free / multiple) * multiple || free;
  const spans = [];
  for (let start = 0; start < length - tile; start += step) spans.push(span(start, start + tile));
  return [...spans, span(length - tile, length)];
}

/** Return the plan in pixels of a result `scale` times as large. */
export function enlarged({ rows, columns, fade, exact }, scale) {
  const grow = (s) => span(scale * s.start, scale * s.stop, scale * s.keepStart, scale * s.keepStop);
  return { rows: rows.map(grow), columns: columns.map(grow), fade: scale * fade, exact };
}

/** Return each span's weights along one axis: falling to 0 over `fade` pixels towards neighbors, with a sum of 1. */
export function weightsOf(spans, fade) {
  const length = spans.at(-1).keepStop;
  const weights = spans.map((one) => ramp(one, length, fade));
  const total = new Float32Array(length);
  spans.forEach((one, index) => weights[index].forEach((weight, at) => (total[one.keepStart + at] += weight)));
  spans.forEach((one, index) => weights[index].forEach((_, at, own) => (own[at] /= total[one.keepStart + at])));
  return weights;
}

function ramp({ keepStart, keepStop }, length, fade) {
  const size = keepStop - keepStart;
  const weights = new Float32Array(size).fill(1);
  if (!fade) return weights;
  for (let at = 0; at < size; at++) {
    const rising = Math.fround(Math.min((at + 0.5) / fade, 1));
    if (keepStart > 0) weights[at] *= rising;
    if (keepStop < length) weights[size - 1 - at] *= rising;
  }
  return weights;
}

/**
 * Compute tile after tile and write each part once it is final.
 *
 * make(row, column): resolves to the network's output for that tile, planes of (row.stop - row.start) x
 * (column.stop - column.start) values. write(top, finished, height, width, band): receives a band (C, height, width),
 * the first `finished` rows of which are final; only the rows below them are kept. done(count, total): called after
 * each tile.
 */
export async function runTiles(plan, make, write, done, channels) {
  const width = plan.columns.at(-1).keepStop;
  const weights = { rows: weightsOf(plan.rows, plan.fade), columns: weightsOf(plan.columns, plan.fade) };
  const total = plan.rows.length * plan.columns.length;
  let [strip, count] = [new Float32Array(0), 0];
  for (const [index, row] of plan.rows.entries()) {
    const height = row.keepStop - row.keepStart;
    // The band accumulates this row of tiles; its first rows start from the sums that the row above left there.
    const band = new Float32Array(channels * height * width);
    const shared = strip.length / channels;
    for (let channel = 0; channel < channels; channel++) {
      band.set(strip.subarray(channel * shared, (channel + 1) * shared), channel * height * width);
    }
    for (const [place, column] of plan.columns.entries()) {
      const part = await make(row, column);
      add(band, part, { row, column, width, height, channels }, weights.rows[index], weights.columns[place]);
      done(++count, total);
    }
    const next = index + 1 < plan.rows.length ? plan.rows[index + 1].keepStart : row.keepStop;
    const finished = next - row.keepStart;
    write(row.keepStart, finished, height, width, band);
    strip = new Float32Array(channels * (height - finished) * width);
    for (let channel = 0; channel < channels; channel++) {
      const from = (channel * height + finished) * width;
      strip.set(band.subarray(from, (channel + 1) * height * width), channel * (height - finished) * width);
    }
  }
}

function add(band, part, { row, column, width, height, channels }, rowWeights, columnWeights) {
  const [tall, wide] = [row.stop - row.start, column.stop - column.start];
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      let from = (channel * tall + y + row.keepStart - row.start) * wide + column.keepStart - column.start;
      let to = (channel * height + y) * width + column.keepStart;
      for (const weight of columnWeights) band[to++] += part[from++] * weight * rowWeights[y];
    }
  }
}
