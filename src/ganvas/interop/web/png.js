// PNG encoder with text chunks, because a canvas loses the colors of transparent pixels and writes no text.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const CRC = Uint32Array.from({ length: 256 }, (_, index) => {
  for (let bit = 0; bit < 8; bit++) index = index & 1 ? 0xedb88320 ^ (index >>> 1) : index >>> 1;
  return index;
});

/**
 * Return a PNG file as a Blob.
 *
 * pixels: RGBA; samples: which samples of each pixel are stored: [0] for gray, [0, 1, 2] for RGB, and 3 for alpha;
 * texts: keyword -> text of the iTXt chunks.
 */
export async function encodePNG(pixels, width, height, samples, texts) {
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8);
  header.setUint8(9, (samples.length > 2 ? 2 : 0) + (samples.includes(3) ? 4 : 0));
  const rows = new Blob(filteredRows(pixels, width, height, samples)).stream();
  const data = await new Response(rows.pipeThrough(new CompressionStream("deflate"))).arrayBuffer();
  const text = new TextEncoder();
  const notes = Object.entries(texts).map(([keyword, value]) => chunk("iTXt", text.encode(`${keyword}\0\0\0\0\0${value}`)));
  const parts = [chunk("IHDR", new Uint8Array(header.buffer)), ...notes, chunk("IDAT", new Uint8Array(data))];
  return new Blob([Uint8Array.from(SIGNATURE), ...parts, chunk("IEND", new Uint8Array(0))], { type: "image/png" });
}

// Yield each row with the PNG filter Sub or Up, whichever gives the smaller differences.
function* filteredRows(pixels, width, height, samples) {
  const size = samples.length;
  let above = new Uint8Array(width * size);
  for (let y = 0; y < height; y++) {
    const row = new Uint8Array(width * size);
    for (let x = 0, at = 4 * y * width, to = 0; x < width; x++, at += 4) {
      for (const sample of samples) row[to++] = pixels[at + sample];
    }
    const [left, up] = [new Uint8Array(row.length + 1), new Uint8Array(row.length + 1)];
    [left[0], up[0]] = [1, 2];
    let cost = 0;
    for (let at = 0; at < row.length; at++) {
      left[at + 1] = row[at] - (at < size ? 0 : row[at - size]);
      up[at + 1] = row[at] - above[at];
      cost += Math.abs((left[at + 1] << 24) >> 24) - Math.abs((up[at + 1] << 24) >> 24);
    }
    yield cost < 0 ? left : up;
    above = row;
  }
}

function chunk(kind, body) {
  const bytes = new Uint8Array(body.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, body.length);
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(body, 8);
  let crc = 0xffffffff;
  for (let at = 4; at < bytes.length - 4; at++) crc = CRC[(crc ^ bytes[at]) & 255] ^ (crc >>> 8);
  view.setUint32(bytes.length - 4, ~crc);
  return bytes;
}
