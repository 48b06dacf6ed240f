// JPEG round trip of libjpeg at quality 75, 4:2:0, without its lossless entropy coding.
//
// Open NSFW was trained on JPEG pictures, and the round trip changes its scores. The JPEG encoders of browsers differ;
// this one gives the same pixels in all of them as libjpeg-turbo, which ganvas uses.

const LUMA = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
  87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
  72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMA = [
  17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
  99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
  99, 99, 99, 99, 99, 99,
];
// Quality 75 halves the tables of ITU-T T.81, annex K.
const halved = (table) => table.map((value) => Math.floor((value * 50 + 50) / 100));
const fixed16 = (value) => Math.floor(value * 65536 + 0.5);
const HALF = 32768;

/** Return the (height, width, 3) pixels after encoding and decoding; both sides must be multiples of 16. */
export function jpegRoundTrip(rgb, width, height) {
  const [luma, blue, red] = toYCC(rgb, width, height);
  const [w, h] = [width / 2, height / 2];
  const planes = [
    codePlane(luma, width, height, halved(LUMA)),
    ...[blue, red].map((plane) => upsample(codePlane(downsample(plane, width, height), w, h, halved(CHROMA)), w, h)),
  ];
  return toRGB(planes);
}

function toYCC(rgb, width, height) {
  const planes = [0, 1, 2].map(() => new Uint8Array(width * height));
  const [yr, yg, yb] = [0.299, 0.587, 0.114].map(fixed16);
  const [br, bg, half, rg, rb] = [0.16874, 0.33126, 0.5, 0.41869, 0.08131].map(fixed16);
  const middle = (128 << 16) + HALF - 1;
  for (let i = 0; i < width * height; i++) {
    const [r, g, b] = [rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]];
    planes[0][i] = (yr * r + yg * g + yb * b + HALF) >> 16;
    planes[1][i] = (half * b - br * r - bg * g + middle) >> 16;
    planes[2][i] = (half * r - rg * g - rb * b + middle) >> 16;
  }
  return planes;
}

function toRGB([luma, blue, red]) {
  const rgb = new Uint8ClampedArray(3 * luma.length);
  const [r, b, gr, gb] = [1.402, 1.772, 0.71414, 0.34414].map(fixed16);
  for (let i = 0; i < luma.length; i++) {
    const [cb, cr] = [blue[i] - 128, red[i] - 128];
    rgb[3 * i] = luma[i] + ((r * cr + HALF) >> 16);
    rgb[3 * i + 1] = luma[i] + ((HALF - gb * cb - gr * cr) >> 16);
    rgb[3 * i + 2] = luma[i] + ((b * cb + HALF) >> 16);
  }
  return rgb;
}

// Return means of 2 x 2 pixels; halves are rounded down and up alternately.
function downsample(plane, width, height) {
  const out = new Uint8Array((width * height) / 4);
  let place = 0;
  for (let y = 0; y < height; y += 2) {
    for (let x = 0, at = y * width; x < width; x += 2, at += 2) {
      const sum = plane[at] + plane[at + 1] + plane[at + width] + plane[at + width + 1];
      out[place++] = (sum + 1 + ((x >> 1) & 1)) >> 2;
    }
  }
  return out;
}

// Double both sides with a triangle filter: the nearer row and column have three times the weight.
function upsample(plane, width, height) {
  const out = new Uint8Array(4 * width * height);
  const sums = new Int32Array(width);
  for (let row = 0; row < 2 * height; row++) {
    const near = row >> 1;
    const far = Math.min(Math.max(near + (row & 1 ? 1 : -1), 0), height - 1);
    for (let x = 0; x < width; x++) sums[x] = 3 * plane[near * width + x] + plane[far * width + x];
    for (let x = 0, at = row * 2 * width; x < width; x++, at += 2) {
      const [before, after] = [sums[Math.max(x - 1, 0)], sums[Math.min(x + 1, width - 1)]];
      out[at] = (3 * sums[x] + before + 8) >> 4;
      out[at + 1] = (3 * sums[x] + after + 7) >> 4;
    }
  }
  return out;
}

// Transform, quantize and transform back each block of 8 x 8.
function codePlane(plane, width, height, table) {
  const out = new Uint8ClampedArray(plane.length);
  const block = new Int32Array(64);
  for (let top = 0; top < height; top += 8) {
    for (let left = 0; left < width; left += 8) {
      for (let i = 0; i < 64; i++) block[i] = plane[(top + (i >> 3)) * width + left + (i & 7)] - 128;
      for (let i = 0; i < 8; i++) forward(block, 8 * i, 1, true);
      for (let i = 0; i < 8; i++) forward(block, i, 8, false);
      for (let i = 0; i < 64; i++) block[i] = quantize(block[i], 8 * table[i]) * table[i];
      for (let i = 0; i < 8; i++) inverse(block, i, 8, 11);
      for (let i = 0; i < 8; i++) inverse(block, 8 * i, 1, 18);
      for (let i = 0; i < 64; i++) out[(top + (i >> 3)) * width + left + (i & 7)] = block[i] + 128;
    }
  }
  return out;
}

function quantize(value, divisor) {
  const size = Math.floor((Math.abs(value) + (divisor >> 1)) / divisor);
  return value < 0 ? -size : size;
}

// Constants of Loeffler, Ligtenberg and Moschytz (1989), in fixed point with 13 fractional bits.
const [C0298, C0390, C0541, C0765, C0899, C1175, C1501, C1847, C1961, C2053, C2562, C3072] = [
  2446, 3196, 4433, 6270, 7373, 9633, 12299, 15137, 16069, 16819, 20995, 25172,
];
const rounded = (value, bits) => (value + (1 << (bits - 1))) >> bits;

function forward(d, at, step, first) {
  const v = (i) => d[at + i * step];
  const [s0, s1, s2, s3] = [v(0) + v(7), v(1) + v(6), v(2) + v(5), v(3) + v(4)];
  const [d4, d5, d6, d7] = [v(3) - v(4), v(2) - v(5), v(1) - v(6), v(0) - v(7)];
  const [e0, e3, e1, e2] = [s0 + s3, s0 - s3, s1 + s2, s1 - s2];
  const bits = first ? 11 : 15;
  const put = (i, value) => (d[at + i * step] = value);
  put(0, first ? (e0 + e1) << 2 : rounded(e0 + e1, 2));
  put(4, first ? (e0 - e1) << 2 : rounded(e0 - e1, 2));
  const even = (e2 + e3) * C0541;
  put(2, rounded(even + e3 * C0765, bits));
  put(6, rounded(even - e2 * C1847, bits));
  const z5 = (d4 + d6 + d5 + d7) * C1175;
  const [z1, z2] = [-(d4 + d7) * C0899, -(d5 + d6) * C2562];
  const [z3, z4] = [z5 - (d4 + d6) * C1961, z5 - (d5 + d7) * C0390];
  put(7, rounded(d4 * C0298 + z1 + z3, bits));
  put(5, rounded(d5 * C2053 + z2 + z4, bits));
  put(3, rounded(d6 * C3072 + z2 + z3, bits));
  put(1, rounded(d7 * C1501 + z1 + z4, bits));
}

function inverse(d, at, step, bits) {
  const v = (i) => d[at + i * step];
  const even = (v(2) + v(6)) * C0541;
  const [t2, t3] = [even - v(6) * C1847, even + v(2) * C0765];
  const [t0, t1] = [(v(0) + v(4)) << 13, (v(0) - v(4)) << 13];
  const [a0, a3, a1, a2] = [t0 + t3, t0 - t3, t1 + t2, t1 - t2];
  const z5 = (v(7) + v(3) + v(5) + v(1)) * C1175;
  const [z1, z2] = [-(v(7) + v(1)) * C0899, -(v(5) + v(3)) * C2562];
  const [z3, z4] = [z5 - (v(7) + v(3)) * C1961, z5 - (v(5) + v(1)) * C0390];
  const b = [v(7) * C0298 + z1 + z3, v(5) * C2053 + z2 + z4, v(3) * C3072 + z2 + z3, v(1) * C1501 + z1 + z4];
  [a0, a1, a2, a3].forEach((a, i) => {
    d[at + i * step] = rounded(a + b[3 - i], bits);
    d[at + (7 - i) * step] = rounded(a - b[3 - i], bits);
  });
}
