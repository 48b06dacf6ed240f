// Line charts of a training run as SVG: images seen on the x axis, and a legend that shows and hides lines.
import { h, number } from "./ui.js";

const NS = "http://www.w3.org/2000/svg";
const [HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [220, 52, 26, 10, 34]; // pixels; RIGHT leaves room for half of the last label

const svg = (tag, attributes, text) => {
  const element = document.createElementNS(NS, tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  if (text !== undefined) element.textContent = text;
  return element;
};

/** Return a chart of {name: [[x, y], ...]}; `hidden` is a set of names that the legend toggles. */
export function chart(title, lines, hidden, redraw) {
  const names = Object.keys(lines).sort();
  const shown = names.filter((name) => !hidden.has(name));
  const points = shown.flatMap((name) => lines[name]);
  const figure = svg("svg", { role: "img", "aria-label": describe(title, lines, shown) });
  const frame = h("div", { class: "plot" }, figure);
  // Redraw at the displayed width instead of scaling, so that the text keeps its size.
  new ResizeObserver(() => {
    const width = Math.round(frame.clientWidth);
    figure.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    figure.replaceChildren();
    if (points.length && width > LEFT + RIGHT) plot(figure, width, lines, names, shown, points);
  }).observe(frame);
  return h("section", { class: "chart" }, h("h3", {}, title), frame, h("div", { class: "legend" }, names.map((name, index) =>
    h("button", { class: `key s${index % 8}`, "aria-pressed": String(!hidden.has(name)), onclick: () => { hidden.has(name) ? hidden.delete(name) : hidden.add(name); redraw(); } },
      name, h("b", {}, short(lines[name].at(-1)[1]))))));
}

function plot(figure, width, lines, names, shown, points) {
  const xs = points.map(([x]) => x);
  const [low, high] = range(points.map(([, y]) => y));
  const [first, last] = [Math.min(...xs), Math.max(...xs, Math.min(...xs) + 1)];
  const x = (value) => LEFT + ((value - first) / (last - first)) * (width - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - BOTTOM - TOP);
  for (const tick of ticks(low, high, 4)) {
    figure.append(svg("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }),
      svg("text", { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
  }
  for (const tick of ticks(first, last, width < 480 ? 3 : 6)) {
    figure.append(svg("text", { x: x(tick), y: HEIGHT - 7, "text-anchor": "middle" }, number(Math.round(tick))));
  }
  for (const name of shown) {
    const path = lines[name].map(([at, value], index) => `${index ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    figure.append(svg("path", { class: `line s${names.indexOf(name) % 8}`, d: path }));
    const [at, value] = lines[name].at(-1);
    figure.append(svg("circle", { class: `dot s${names.indexOf(name) % 8}`, cx: x(at), cy: y(value), r: 3 }));
  }
}

const describe = (title, lines, shown) => `${title}: ${shown.map((name) => `${name} last ${short(lines[name].at(-1)[1])}`).join(", ")}`;

function range(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const gap = (high - low || Math.abs(high) || 1) * 0.06;
  return [low >= 0 && low < 0.25 * high ? 0 : low - gap, high + gap];
}

function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(value);
  return found;
}

function short(value) {
  const size = Math.abs(value);
  if (size >= 1000) return number(Math.round(value));
  return size >= 10 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : value.toFixed(size >= 0.01 || size === 0 ? 3 : 5);
}
