// Comparison of pictures at full resolution: two with a slider, or several side by side, with a shared zoom.
import { choices, h } from "./ui.js";

const MAX_SCALE = 32;

/** Zoom and position that several panes share, so that they zoom and move together. */
export class Viewport {
  constructor() {
    this.panes = new Set();
    this.scale = null; // screen pixels per picture pixel; null fits the picture into the pane
    this.center = { x: 0.5, y: 0.5 };
  }

  update() {
    this.panes.forEach((pane) => pane.place());
  }

  zoom(factor, at = null) {
    const pane = [...this.panes][0];
    const before = this.scale ?? pane.fitScale();
    const after = Math.min(Math.max(before * factor, pane.fitScale() / 2), MAX_SCALE);
    if (at) {
      const shift = (1 / before - 1 / after);
      this.center.x += (at.x * shift) / pane.width;
      this.center.y += (at.y * shift) / pane.height;
    }
    this.scale = after;
    this.update();
  }

  fit() {
    this.scale = null;
    this.center = { x: 0.5, y: 0.5 };
    this.update();
  }

  exact() {
    this.scale = 1 / (window.devicePixelRatio || 1);
    this.update();
  }

  buttons() {
    return h("div", { class: "toolbar", role: "toolbar", "aria-label": "Zoom" },
      h("button", { onclick: () => this.zoom(1 / 1.5), "aria-label": "Zoom out" }, "−"),
      h("button", { onclick: () => this.fit() }, "Fit"),
      h("button", { onclick: () => this.exact(), title: "One picture pixel per screen pixel" }, "1:1"),
      h("button", { onclick: () => this.zoom(1.5), "aria-label": "Zoom in" }, "+"));
  }
}

/** A pane with a picture, or with two and a divider between them. */
export class Pane {
  /**
   * @param viewport shared zoom and position
   * @param size {width, height} of the picture at full resolution
   * @param sources URLs: [before, after] or [picture]
   * @param labels captions of the sources
   */
  constructor(viewport, size, sources, labels) {
    this.viewport = viewport;
    this.width = size.width;
    this.height = size.height;
    this.split = 0.5;
    this.pointers = new Map();
    this.images = sources.map((source, index) => h("img", { src: source, alt: labels[index], draggable: "false" }));
    this.layers = this.images.map((image, index) => h("div", { class: `layer layer-${index}` }, image));
    this.frame = h("div", { class: "pane", tabindex: "0", role: "group",
      "aria-label": `${labels.join(" and ")}: drag to move, plus and minus to zoom` }, this.layers,
      labels.map((label, index) => h("span", { class: `tag tag-${index}` }, label)));
    if (sources.length === 2) this.addHandle(labels);
    this.element = this.frame;
    this.listen();
    viewport.panes.add(this);
    this.watcher = new ResizeObserver(() => this.place());
    this.watcher.observe(this.frame);
  }

  addHandle(labels) {
    this.handle = h("div", { class: "handle", role: "slider", tabindex: "0", "aria-label": `Divider between ${labels[0]} and ${labels[1]}`,
      "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(100 * this.split),
      "aria-orientation": "horizontal" }, h("span", { "aria-hidden": "true" }, "⇔"));
    this.handle.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      event.stopPropagation();
      this.setSplit(this.split + steps[event.key]);
    });
    this.handle.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      this.handle.setPointerCapture(event.pointerId);
      this.dragging = true;
    });
    this.handle.addEventListener("pointermove", (event) => {
      if (!this.dragging) return;
      const box = this.frame.getBoundingClientRect();
      this.setSplit((event.clientX - box.left) / box.width);
    });
    for (const kind of ["pointerup", "pointercancel"]) this.handle.addEventListener(kind, () => { this.dragging = false; });
    this.frame.append(this.handle);
  }

  setSplit(share) {
    this.split = Math.min(Math.max(share, 0), 1);
    this.place();
  }

  close() {
    this.watcher.disconnect();
    this.viewport.panes.delete(this);
  }

  fitScale() {
    const box = this.frame.getBoundingClientRect();
    return Math.max(Math.min(box.width / this.width, box.height / this.height), 1e-3);
  }

  place() {
    const box = this.frame.getBoundingClientRect();
    const scale = this.viewport.scale ?? this.fitScale();
    const { center } = this.viewport;
    const [left, top] = [box.width / 2 - center.x * this.width * scale, box.height / 2 - center.y * this.height * scale];
    for (const image of this.images) {
      image.style.width = `${this.width * scale}px`;
      image.style.height = `${this.height * scale}px`;
      image.style.transform = `translate(${left}px, ${top}px)`;
      image.classList.toggle("sharp", scale > 2);
    }
    if (!this.handle) return;
    const edge = this.split * box.width;
    this.layers[1].style.clipPath = `inset(0 0 0 ${edge}px)`;
    this.handle.style.left = `${edge}px`;
    this.handle.setAttribute("aria-valuenow", String(Math.round(100 * this.split)));
    this.handle.setAttribute("aria-valuetext", `${Math.round(100 * this.split)} % before`);
  }

  listen() {
    const { frame, viewport } = this;
    frame.addEventListener("wheel", (event) => {
      event.preventDefault();
      viewport.zoom(Math.exp(-event.deltaY / 400), this.offset(event));
    }, { passive: false });
    frame.addEventListener("pointerdown", (event) => {
      frame.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    });
    frame.addEventListener("pointermove", (event) => this.drag(event));
    for (const kind of ["pointerup", "pointercancel"]) frame.addEventListener(kind, (event) => this.pointers.delete(event.pointerId));
    frame.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      if (event.key in moves) this.shift(moves[event.key].map((one) => -40 * one));
      else if (event.key === "+" || event.key === "=") viewport.zoom(1.5);
      else if (event.key === "-") viewport.zoom(1 / 1.5);
      else if (event.key === "0") viewport.fit();
      else return;
      event.preventDefault();
    });
  }

  offset(event) {
    const box = this.frame.getBoundingClientRect();
    return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    if (this.pointers.size === 2) {
      const other = [...this.pointers.entries()].find(([id]) => id !== event.pointerId)[1];
      const distance = (one) => Math.max(Math.hypot(one.x - other.x, one.y - other.y), 1);
      this.viewport.zoom(distance(now) / distance(before), this.offset({ clientX: other.x, clientY: other.y }));
    } else {
      this.shift([now.x - before.x, now.y - before.y]);
    }
    this.pointers.set(event.pointerId, now);
  }

  shift([x, y]) {
    const scale = this.viewport.scale ?? this.fitScale();
    this.viewport.scale = scale;
    this.viewport.center.x -= x / (this.width * scale);
    this.viewport.center.y -= y / (this.height * scale);
    this.viewport.update();
  }
}

/** A before/after view of one picture and its versions; returns {element, close}. */
export function comparison(before, versions, size) {
  const viewport = new Viewport();
  const place = h("div", { class: "panes" });
  let panes = [];
  const build = (mode) => {
    panes.forEach((pane) => pane.close());
    panes = mode === "slider"
      ? [new Pane(viewport, size, [before, versions[0].source], ["Before", versions[0].label])]
      : [{ source: before, label: "Before" }, ...versions].map((one) => new Pane(viewport, size, [one.source], [one.label]));
    place.className = `panes ${mode}`;
    place.replaceChildren(...panes.map((pane) => pane.element));
  };
  const mode = versions.length > 1 ? "side" : "slider";
  build(mode);
  const switcher = choices("Layout", [["slider", "Slider"], ["side", "Side by side"]], mode, build);
  const element = h("div", { class: "comparison" }, h("div", { class: "bar" }, switcher, viewport.buttons()), place);
  return { element, close: () => panes.forEach((pane) => pane.close()) };
}
