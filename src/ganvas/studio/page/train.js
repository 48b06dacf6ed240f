// Section Train: runs below the root, updated live: curves, previews over time, speed, warnings, stop and resume.
import { attempt, duration, h, number, request } from "./ui.js";
import { chart } from "./chart.js";

const POLL_INTERVAL = 2000; // milliseconds
const hidden = new Set();

export function open(place, _state, [chosen]) {
  place.append(h("h1", {}, "Train"));
  let timer = null;
  let over = false;
  const stop = () => { over = true; clearTimeout(timer); };
  if (chosen) watch();
  else list();
  return stop;

  function list() {
    const table = h("ul", { class: "list" });
    place.append(table);
    const look = async () => {
      const found = await attempt(() => request("GET", "/api/library"));
      if (over || !found) return;
      table.replaceChildren(...found.runs.map((one) => h("li", {}, h("a", { href: `#train/${one.id}` },
        h("strong", {}, one.name), h("small", {}, one.method || "cannot be read", state(one))))));
      if (!found.runs.length) table.replaceChildren(h("li", { class: "empty" }, "There are no runs below the root folder. Train one: ganvas train restore --data PICTURES --out RUN"));
      timer = setTimeout(look, 2 * POLL_INTERVAL);
    };
    look();
  }

  function watch() {
    const head = h("div", {});
    const notes = h("div", { "aria-live": "polite" });
    const charts = h("div", { class: "charts" });
    const preview = previews(chosen);
    place.append(h("p", {}, h("a", { href: "#train" }, "All runs")), head, notes, preview.element, charts);
    let last = "";
    const look = async () => {
      const run = await attempt(() => request("GET", `/api/runs/${chosen}`));
      if (over) return;
      if (run) {
        const { changed: _age, ...rest } = run;
        const now = JSON.stringify(rest);
        if (now !== last) draw(run);
        last = now;
      }
      timer = setTimeout(look, POLL_INTERVAL);
    };
    const draw = (run) => {
      const focus = place.contains(document.activeElement) ? document.activeElement.dataset.action : null;
      head.replaceChildren(h("h2", {}, run.name), facts(run), controls(run, look));
      notes.replaceChildren(...run.warnings.map((text) => h("p", { class: "problem" }, text)),
        ...(run.words ? [lastOutput(run)] : []));
      preview.update(run.previews);
      const redraw = () => charts.replaceChildren(...graphs(run, redraw));
      redraw();
      if (focus) place.querySelector(`[data-action="${focus}"]`)?.focus();
    };
    look();
  }
}

const lastOutput = (run) => (run.problem
  ? h("div", { class: "problem", role: "alert" }, h("h3", {}, run.problem), h("pre", {}, run.words)) : h("pre", {}, run.words));
const state = (one) => ({ starting: ", starting", running: ", training (started here)", stopping: ", stopping", elsewhere: ", training", idle: "" }[one.state] || "");

function facts(run) {
  const cells = [
    ["State", { starting: "starting", running: "training", stopping: "stopping, saving the state", elsewhere: "training, started elsewhere", idle: "not training" }[run.state]],
    ["Method", run.method],
    ["Images", run.images === null ? null : number(run.images) + (run.total ? ` of ${number(run.total)}` : "")],
    ["Speed", run.rate ? `${run.rate >= 10 ? Math.round(run.rate) : run.rate.toFixed(2)} images/s` : null],
    ["Time left", run.left !== null && run.state !== "idle" ? duration(run.left) : null],
    ["Trained for", run.seconds !== null ? duration(run.seconds) : null],
  ];
  return h("dl", { class: "facts-row" }, cells.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function controls(run, look) {
  const act = (action) => attempt(async () => { await request("POST", `/api/runs/${run.id}/${action}`); await look(); });
  return h("div", { class: "bar" },
    ["starting", "running"].includes(run.state) ? h("button", { class: "primary", "data-action": "stop", onclick: () => act("stop") }, "Stop and save") : null,
    run.state === "idle" && run.trained ? h("button", { class: "primary", "data-action": "resume", onclick: () => act("resume") }, "Resume") : null,
    run.state === "elsewhere" ? h("p", { class: "soft" }, "This run was started outside the studio. Stop it there with Ctrl-C; resuming continues exactly where it stopped.") : null);
}

function graphs(run, redraw) {
  const groups = { Losses: run.losses };
  for (const [name, points] of Object.entries(run.validation)) {
    const measure = name.split("_").at(-1);
    const title = { psnr: "Validation: PSNR in dB", ssim: "Validation: SSIM", l1: "Validation: L1", spread: "Validation: spread of the outputs" }[measure] || `Validation: ${measure}`;
    (groups[title] ??= {})[name] = points;
  }
  const shown = Object.entries(groups).filter(([, lines]) => Object.keys(lines).length);
  return shown.length ? shown.map(([title, lines]) => chart(title, lines, hidden, redraw)) : [h("p", { class: "empty" }, "No metrics yet: the first values appear after some steps.")];
}

/** Return preview grids with a slider over time, which follows the newest grid until the user moves it. */
function previews(run) {
  let numbers = [];
  let follow = true;
  const image = h("img", { alt: "", class: "preview" });
  const label = h("output", {});
  const slider = h("input", { type: "range", min: "0", value: "0", "aria-label": "Preview by images seen", oninput: () => { follow = slider.value === slider.max; show(); } });
  const element = h("section", { class: "previews", hidden: true }, h("h3", {}, "Previews"),
    h("div", { class: "preview-frame", tabindex: "0", role: "group", "aria-label": "Preview grid" }, image), h("div", { class: "bar" }, slider, label));
  const show = () => {
    const count = numbers[Number(slider.value)];
    image.src = `/api/runs/${run}/previews/${count}`;
    image.alt = `Preview grid after ${number(count)} images`;
    label.textContent = `after ${number(count)} images`;
    slider.setAttribute("aria-valuetext", label.textContent);
  };
  return { element, update: (found) => {
    const grown = found.length !== numbers.length;
    numbers = found;
    element.hidden = !numbers.length;
    if (!grown || !numbers.length) return;
    slider.max = String(numbers.length - 1);
    if (follow) slider.value = slider.max;
    show();
  } };
}
