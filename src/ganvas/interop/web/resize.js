// Antialiased bilinear resizing, bit for bit as in Pillow, which the content gate of ganvas uses.

const BITS = 22;

/** Return RGBA pixels resized to (newHeight, newWidth, 3), without alpha: along the rows first, then the columns. */
export function resizeToRGB(rgba, width, height, newWidth, newHeight) {
  const narrow = new Uint8ClampedArray(3 * newWidth * height);
  const columns = coefficients(width, newWidth);
  for (let y = 0; y < height; y++) {
    columns.forEach(({ start, weights }, x) => {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 2 ** (BITS - 1);
        for (let k = 0, at = 4 * (y * width + start) + channel; k < weights.length; k++, at += 4) {
          sum += weights[k] * rgba[at];
        }
        narrow[3 * (y * newWidth + x) + channel] = sum >> BITS;
      }
    });
  }
  const out = new Uint8ClampedArray(3 * newWidth * newHeight);
  const line = 3 * newWidth;
  coefficients(height, newHeight).forEach(({ start, weights }, y) => {
    for (let x = 0; x < line; x++) {
      let sum = 2 ** (BITS - 1);
      for (let k = 0, at = start * line + x; k < weights.length; k++, at += line) sum += weights[k] * narrow[at];
      out[y * line + x] = sum >> BITS;
    }
  });
  return out;
}

// Return for each output pixel its first input pixel and the weights of the triangle filter, in fixed point.
function coefficients(size, newSize) {
  const scale = size / newSize;
  const reach = Math.max(scale, 1);
  return Array.from({ length: newSize }, (_, place) => {
    const center = (place + 0.5) * scale;
    const start = Math.max(Math.trunc(center - reach + 0.5), 0);
    const stop = Math.min(Math.trunc(center + reach + 0.5), size);
    const shares = [];
    let total = 0;
    for (let x = start; x < stop; x++) {
      const share = Math.max(1 - Math.abs((x - center + 0.5) * (1 / reach)), 0);
      shares.push(share);
      total += share;
    }
    return { start, weights: Int32Array.from(shares, (share) => Math.trunc((share / total) * 2 ** BITS + 0.5)) };
  });
}
