// Mask editor: brush, eraser, rectangle and lasso on a picture, with undo, zoom, pan, touch and keyboard.
// Strokes are stored in picture coordinates and replayed: undo needs no copies of the mask, and the mask has the size of
// the picture, not of the screen.
import { choices, h } from "./ui.js";

const MAX_OVERLAY_PIXELS = 2e6;
const TOOLS = [["brush", "Brush", "B"], ["erase", "Erase", "E"], ["rectangle", "Rectangle", "R"], ["lasso", "Lasso", "L"], ["pan", "Move", "H"]];

export class Editor {
  /** @param onchange called whenever the mask changes. */
  constructor(onchange) {
    this.onchange = onchange;
    this.strokes = [];
    this.undone = [];
    this.tool = "brush";
    this.size = 40;
    this.view = { scale: 1, x: 0, y: 0 };
    this.pointers = new Map();
    this.cursor = null;
    this.canvas = h("canvas", { tabindex: "0", class: "stage-canvas", role: "application", "aria-busy": "true",
      "aria-label": "Picture to paint on. Arrow keys move the crosshair, Enter paints or sets a corner, plus and minus zoom.",
      "aria-describedby": "editor-help" });
    this.overlay = document.createElement("canvas");
    this.message = h("span", { class: "visually-hidden", "aria-live": "polite" });
    this.element = h("div", { class: "editor" }, this.toolbar(), h("div", { class: "stage" }, this.canvas), this.message,
      h("p", { id: "editor-help", class: "soft small" },
        "Painted regions are always covered. Zoom with the wheel or two fingers; to pan, hold the space bar or choose Move. ",
        "Keyboard: arrow keys move the crosshair, Enter paints, + and − zoom, 0 fits the picture, Ctrl+Z undoes."));
    this.listen();
    this.watcher = new ResizeObserver(() => this.fit());
    this.watcher.observe(this.canvas);
  }

  toolbar() {
    this.tools = choices("Tool", TOOLS.map(([value, text, key]) => [value, text, `${text} (${key})`]), this.tool, (value) => { this.tool = value; this.pending = null; });
    this.slider = h("input", { type: "range", min: "4", max: "200", value: this.size, "aria-label": "Size of the brush",
      oninput: () => { this.size = Number(this.slider.value); } });
    this.undoButton = h("button", { onclick: () => this.undo(), disabled: true, title: "Undo (Ctrl+Z)" }, "Undo");
    this.redoButton = h("button", { onclick: () => this.redo(), disabled: true, title: "Redo (Ctrl+Y)" }, "Redo");
    this.clearButton = h("button", { onclick: () => this.add({ kind: "clear" }), disabled: true }, "Clear");
    return h("div", { class: "toolbar", role: "toolbar", "aria-label": "Painting" }, this.tools,
      h("label", { class: "inline" }, "Size ", this.slider), h("span", { class: "together" }, this.undoButton, this.redoButton, this.clearButton),
      h("span", { class: "gap" }),
      h("span", { class: "together" },
        h("button", { onclick: () => this.zoom(1 / 1.4), "aria-label": "Zoom out" }, "−"),
        h("button", { onclick: () => this.fit() }, "Fit"),
        h("button", { onclick: () => this.zoom(1.4), "aria-label": "Zoom in" }, "+")));
  }

  /** Show a loaded HTMLImageElement with its existing strokes. */
  open(image, strokes = []) {
    this.image = image;
    this.heat = null;
    this.strokes = strokes;
    this.undone = [];
    this.cursor = null;
    const share = Math.min(1, Math.sqrt(MAX_OVERLAY_PIXELS / (image.naturalWidth * image.naturalHeight)));
    this.overlay.width = Math.max(1, Math.round(image.naturalWidth * share));
    this.overlay.height = Math.max(1, Math.round(image.naturalHeight * share));
    this.slider.max = Math.max(40, Math.round(Math.min(image.naturalWidth, image.naturalHeight) / 2));
    this.size = Math.max(4, Math.round(Math.min(image.naturalWidth, image.naturalHeight) / 14));
    this.slider.value = this.size;
    this.fit();
    this.replay();
    this.canvas.setAttribute("aria-busy", "false");
  }

  /** Announce that another picture is loading. */
  wait() {
    this.canvas.setAttribute("aria-busy", "true");
  }

  close() {
    this.watcher.disconnect();
  }

  setHeat(image) {
    this.heat = image;
    this.draw();
  }

  /** Add detected boxes, [left, top, right, bottom] in picture pixels. */
  addBoxes(boxes) {
    if (boxes.length) this.add({ kind: "boxes", boxes });
  }

  add(stroke) {
    this.strokes.push(stroke);
    this.undone = [];
    this.replay();
    this.onchange();
  }

  undo() {
    if (!this.strokes.length) return;
    this.undone.push(this.strokes.pop());
    this.replay();
    this.message.textContent = "undone";
    this.onchange();
  }

  redo() {
    if (!this.undone.length) return;
    this.strokes.push(this.undone.pop());
    this.replay();
    this.message.textContent = "redone";
    this.onchange();
  }

  get isEmpty() {
    const last = this.strokes.findLastIndex((stroke) => stroke.kind === "clear");
    return !this.strokes.slice(last + 1).some((stroke) => !stroke.erase);
  }

  replay() {
    const context = this.overlay.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.overlay.width, this.overlay.height);
    const share = this.overlay.width / this.image.naturalWidth;
    context.setTransform(share, 0, 0, share, 0, 0);
    this.strokes.forEach((stroke) => drawStroke(context, stroke, "#e0245e"));
    this.undoButton.disabled = !this.strokes.length;
    this.redoButton.disabled = !this.undone.length;
    this.clearButton.disabled = this.isEmpty;
    this.draw();
  }

  /** Return the mask as a PNG file of the picture's size, white where covered. */
  async mask() {
    const canvas = document.createElement("canvas");
    canvas.width = this.image.naturalWidth;
    canvas.height = this.image.naturalHeight;
    const context = canvas.getContext("2d");
    this.strokes.forEach((stroke) => drawStroke(context, stroke, "#fff"));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  fit() {
    const box = this.canvas.getBoundingClientRect();
    const density = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(box.width * density));
    this.canvas.height = Math.max(1, Math.round(box.height * density));
    if (!this.image) return;
    const scale = Math.min(this.canvas.width / this.image.naturalWidth, this.canvas.height / this.image.naturalHeight);
    this.view = { scale, x: (this.canvas.width - this.image.naturalWidth * scale) / 2,
      y: (this.canvas.height - this.image.naturalHeight * scale) / 2 };
    this.draw();
  }

  zoom(factor, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    const { view } = this;
    const scale = Math.min(Math.max(view.scale * factor, 0.01), 40);
    const ratio = scale / view.scale;
    this.view = { scale, x: x - (x - view.x) * ratio, y: y - (y - view.y) * ratio };
    this.draw();
  }

  draw() {
    if (!this.image || this.scheduled) return;
    this.scheduled = requestAnimationFrame(() => { this.scheduled = null; this.paint(); });
  }

  paint() {
    const context = this.canvas.getContext("2d");
    const { scale, x, y } = this.view;
    const [width, height] = [this.image.naturalWidth, this.image.naturalHeight];
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(scale, 0, 0, scale, x, y);
    context.imageSmoothingEnabled = scale < 3;
    context.drawImage(this.image, 0, 0, width, height);
    if (this.heat) context.drawImage(this.heat, 0, 0, width, height);
    context.globalAlpha = 0.5;
    context.drawImage(this.overlay, 0, 0, width, height);
    context.globalAlpha = 1;
    if (this.pending) drawStroke(context, this.pending, "rgba(224, 36, 94, .45)", true);
    if (this.cursor && document.activeElement === this.canvas) this.drawCross(context, scale);
  }

  drawCross(context, scale) {
    const arm = 12 / scale;
    for (const [color, wide] of [["#000", 4], ["#fff", 2]]) {
      context.strokeStyle = color;
      context.lineWidth = wide / scale;
      context.beginPath();
      context.moveTo(this.cursor.x - arm, this.cursor.y);
      context.lineTo(this.cursor.x + arm, this.cursor.y);
      context.moveTo(this.cursor.x, this.cursor.y - arm);
      context.lineTo(this.cursor.x, this.cursor.y + arm);
      context.stroke();
    }
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const density = this.canvas.width / box.width;
    const [x, y] = [(event.clientX - box.left) * density, (event.clientY - box.top) * density];
    return { screen: { x, y }, x: (x - this.view.x) / this.view.scale, y: (y - this.view.y) / this.view.scale };
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => this.release(event));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { screen } = this.place(event);
      this.zoom(Math.exp(-event.deltaY / 400), screen.x, screen.y);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("keyup", (event) => { if (event.key === " ") this.spaced = false; });
    for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => this.draw());
  }

  press(event) {
    if (!this.image || event.button > 1) return;
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const place = this.place(event);
    this.pointers.set(event.pointerId, place);
    if (this.pointers.size === 2) {
      this.pending = null; // the stroke of the first finger turns into a pinch
      return;
    }
    this.panning = this.tool === "pan" || this.spaced || event.button === 1;
    if (!this.panning) this.pending = this.begin(place);
    this.draw();
  }

  begin({ x, y }) {
    if (this.tool === "rectangle") return { kind: "rectangle", from: { x, y }, to: { x, y } };
    if (this.tool === "lasso") return { kind: "lasso", points: [{ x, y }] };
    return { kind: "line", erase: this.tool === "erase", size: this.size, points: [{ x, y }] };
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const place = this.place(event);
    if (this.pointers.size === 2) {
      const other = [...this.pointers.entries()].find(([id]) => id !== event.pointerId)[1].screen;
      const distance = (one) => Math.hypot(one.x - other.x, one.y - other.y);
      this.zoom(distance(place.screen) / Math.max(distance(before.screen), 1), other.x, other.y);
    } else if (this.panning) {
      this.view.x += place.screen.x - before.screen.x;
      this.view.y += place.screen.y - before.screen.y;
    } else if (this.pending) {
      if (this.pending.kind === "rectangle") this.pending.to = { x: place.x, y: place.y };
      else this.pending.points.push({ x: place.x, y: place.y });
    }
    this.pointers.set(event.pointerId, this.place(event));
    this.draw();
  }

  release(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const stroke = this.pending;
    this.pending = null;
    if (stroke && event.type === "pointerup" && coversPixels(stroke)) this.add(stroke);
    this.draw();
  }

  key(event) {
    if (!this.image) return;
    const command = event.ctrlKey || event.metaKey;
    const step = event.shiftKey ? 1 : Math.max(this.size / 2, 4);
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const letter = TOOLS.find(([, , key]) => key.toLowerCase() === event.key.toLowerCase());
    if (command && event.key === "z") this.undo();
    else if (command && event.key === "y") this.redo();
    else if (command) return;
    else if (event.key in arrows) this.step(arrows[event.key], step);
    else if (event.key === "Enter") this.stamp();
    else if (event.key === "Escape") this.pending = null;
    else if (event.key === "+" || event.key === "=") this.zoom(1.4);
    else if (event.key === "-") this.zoom(1 / 1.4);
    else if (event.key === "0") this.fit();
    else if (event.key === " ") this.spaced = true;
    else if (letter) { this.tool = letter[0]; this.tools.choose(letter[0]); this.message.textContent = letter[1]; }
    else return;
    event.preventDefault();
    this.draw();
  }

  step([x, y], step) {
    const [width, height] = [this.image.naturalWidth, this.image.naturalHeight];
    this.cursor ??= { x: width / 2, y: height / 2 };
    this.cursor = { x: Math.min(Math.max(this.cursor.x + x * step, 0), width), y: Math.min(Math.max(this.cursor.y + y * step, 0), height) };
    if (this.pending?.kind === "rectangle") this.pending.to = { ...this.cursor };
    this.message.textContent = `${Math.round(this.cursor.x)}, ${Math.round(this.cursor.y)}`;
  }

  /** Paint at the crosshair; a rectangle needs a second corner, a lasso the same point twice to close it. */
  stamp() {
    this.cursor ??= { x: this.image.naturalWidth / 2, y: this.image.naturalHeight / 2 };
    const point = { ...this.cursor };
    if (this.tool === "rectangle" && !this.pending) {
      this.pending = this.begin(point);
      this.message.textContent = "first corner set";
    } else if (this.tool === "lasso" && (!this.pending || !near(this.pending.points.at(-1), point))) {
      if (this.pending) this.pending.points.push(point);
      else this.pending = this.begin(point);
      this.message.textContent = "point set; press Enter again at the same place to close the shape";
    } else {
      const stroke = this.pending || this.begin(point);
      this.pending = null;
      if (coversPixels(stroke)) this.add(stroke);
      this.message.textContent = "painted";
    }
  }
}

const near = (one, other) => Math.hypot(one.x - other.x, one.y - other.y) < 2;

/** Return whether a stroke covers anything; a single click with the rectangle or the lasso does not. */
function coversPixels(stroke) {
  if (stroke.kind === "rectangle") return Math.abs(stroke.to.x - stroke.from.x) >= 1 && Math.abs(stroke.to.y - stroke.from.y) >= 1;
  return stroke.kind !== "lasso" || stroke.points.length > 2;
}

/** Load a saved mask as a stroke, which the editor replays first. */
export async function maskStroke(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < pixels.data.length; at += 4) pixels.data[at + 3] = pixels.data[at];
  context.putImageData(pixels, 0, 0);
  return { kind: "mask", canvas };
}

function drawMask(context, { canvas }, color) {
  const tinted = document.createElement("canvas");
  [tinted.width, tinted.height] = [canvas.width, canvas.height];
  const brush = tinted.getContext("2d");
  brush.drawImage(canvas, 0, 0);
  brush.globalCompositeOperation = "source-in";
  brush.fillStyle = color;
  brush.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(tinted, 0, 0);
}

function drawStroke(context, stroke, color, outlined = false) {
  context.save();
  context.fillStyle = color;
  context.strokeStyle = color;
  if (stroke.erase && !outlined) context.globalCompositeOperation = "destination-out";
  if (stroke.kind === "clear") {
    context.clearRect(0, 0, 1e5, 1e5);
  } else if (stroke.kind === "mask") {
    drawMask(context, stroke, color);
  } else if (stroke.kind === "boxes") {
    for (const [left, top, right, bottom] of stroke.boxes) context.fillRect(left, top, right - left, bottom - top);
  } else if (stroke.kind === "rectangle") {
    const { from, to } = stroke;
    context.fillRect(Math.min(from.x, to.x), Math.min(from.y, to.y), Math.abs(to.x - from.x), Math.abs(to.y - from.y));
  } else {
    context.lineCap = "round";
    context.lineJoin = "round";
    context.beginPath();
    stroke.points.forEach(({ x, y }, index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
    if (stroke.kind === "lasso") {
      context.closePath();
      context.fill();
    } else {
      if (stroke.points.length === 1) context.lineTo(stroke.points[0].x + 0.01, stroke.points[0].y);
      context.lineWidth = stroke.size;
      context.stroke();
    }
  }
  context.restore();
}
