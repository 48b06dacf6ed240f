// Picture decoding by the browser: 8 bits, upright, sRGB, with the colors of transparent pixels.

const STRIP = 512;
const LONGEST_SIDE = 16384;

/** Error whose message is written for the user. */
export class Failure extends Error {}

/**
 * Return { pixels: RGBA, width, height, gray, transparent, notes } of a file.
 *
 * most: largest number of pixels of the result; scale: how many times longer its sides are.
 */
export async function readPicture(file, { most, scale }) {
  const notes = notesOnFormat(new Uint8Array(await file.slice(0, 4096).arrayBuffer()));
  const bitmap = await decode(file);
  const { width, height } = bitmap;
  try {
    requireFit(width, height, most, scale);
    let pixels = readCanvas(bitmap);
    const transparent = some(pixels, 3, (level) => level < 255);
    if (transparent) {
      const exact = await readTexture(bitmap);
      if (!exact) notes.push("This browser reads the colors of transparent pixels only approximately.");
      pixels = exact ?? pixels;
    }
    return { pixels, width, height, transparent, gray: isGray(pixels), notes };
  } finally {
    bitmap.close();
  }
}

async function decode(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image", premultiplyAlpha: "none" });
  } catch {
    throw new Failure(
      "This browser cannot decode the file: it is damaged, too large or of a format that browsers do not read. " +
        "PNG, JPEG and WebP work everywhere.",
    );
  }
}

function requireFit(width, height, most, scale) {
  const [wide, high] = [width * scale, height * scale];
  if (wide * high <= most && Math.max(wide, high) <= LONGEST_SIDE) return;
  const result = scale > 1 ? `Its result would have ${wide} × ${high} pixels` : `The picture has ${wide} × ${high} pixels`;
  throw new Failure(
    `${result}; this page supports at most ${Math.floor(most / 1e6)} million, and ${LONGEST_SIDE} on a side. ` +
      "Make a smaller copy, or translate it with ganvas itself.",
  );
}

function notesOnFormat(start) {
  const has = (text, from, to) => String.fromCharCode(...start.subarray(from, to)).includes(text);
  const notes = [];
  const png = has("PNG", 0, 8);
  if (png && start[24] === 16) notes.push("The picture has 16 bits per sample; the browser gives 8 of them.");
  const animated = (png && has("acTL", 8)) || has("GIF8", 0, 4) || (has("WEBPVP8X", 8, 16) && start[20] & 2);
  if (animated) notes.push("Only the first frame of the animation is translated.");
  return notes;
}

// Read in strips, since the area of a canvas is limited.
function readCanvas(bitmap) {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, Math.min(height, STRIP));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.globalCompositeOperation = "copy";
  const pixels = new Uint8ClampedArray(4 * width * height);
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    context.drawImage(bitmap, 0, top, width, rows, 0, 0, width, rows);
    pixels.set(context.getImageData(0, 0, width, rows).data, 4 * top * width);
  }
  return pixels;
}

// Read through a texture, which, unlike a canvas, does not multiply colors by alpha. Return null if that fails.
async function readTexture(bitmap) {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl || width > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  const pixels = new Uint8ClampedArray(4 * width * height);
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    const strip = await createImageBitmap(bitmap, 0, top, width, rows, { premultiplyAlpha: "none" });
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, strip);
    strip.close();
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) return null;
    const read = new Uint8Array(4 * width * rows);
    gl.readPixels(0, 0, width, rows, gl.RGBA, gl.UNSIGNED_BYTE, read);
    pixels.set(read, 4 * top * width);
  }
  return pixels;
}

function some(pixels, sample, test) {
  for (let at = sample; at < pixels.length; at += 4) if (test(pixels[at])) return true;
  return false;
}

function isGray(pixels) {
  for (let at = 0; at < pixels.length; at += 4) {
    if (pixels[at] !== pixels[at + 1] || pixels[at] !== pixels[at + 2]) return false;
  }
  return true;
}
