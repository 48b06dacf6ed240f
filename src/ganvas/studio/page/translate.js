// Section Translate: translate pictures and films with one or several runs and compare them at full resolution.
import { attempt, dropzone, field, h, number, request, toast } from "./ui.js";
import { files, onFiles, removeFile, run, upload } from "./store.js";
import { comparison } from "./compare.js";

const chosenRuns = new Set();
const results = new Map(); // file id -> Map(run id -> result)
let chosenFile = null;
let direction = "a_to_b";
let tile = 0;
let take = () => {};

export const paste = (pasted) => take(pasted);

export function open(place, state) {
  let closing = () => {};
  const runs = h("div", { class: "runs" }, h("p", { class: "soft" }, "Looking for runs ..."));
  const tray = h("ul", { class: "tray", "aria-label": "Files" });
  const stage = h("div", { class: "work" });
  const zone = dropzone("Add pictures or a film", "image/*,video/*,.tif,.tiff,.npy,.mkv", (chosen) => take(chosen));
  const way = h("select", { onchange: () => { direction = way.value; } },
    h("option", { value: "a_to_b", selected: direction === "a_to_b" }, "As trained (a to b)"),
    h("option", { value: "b_to_a", selected: direction === "b_to_a" }, "Reverse (b to a), if the method learns it"));
  const tiles = h("select", { onchange: () => { tile = Number(tiles.value); } },
    [[0, "Whole picture"], [256, "Tiles of 256 pixels"], [512, "Tiles of 512 pixels"], [1024, "Tiles of 1,024 pixels"]]
      .map(([value, text]) => h("option", { value, selected: tile === value }, text)));
  place.append(h("h1", {}, "Translate"), h("div", { class: "workshop" }, h("div", { class: "side" }, zone, tray), stage,
    h("div", { class: "side options" }, h("fieldset", {}, h("legend", {}, "Runs"), runs),
      h("fieldset", {}, h("legend", {}, "Settings"), field("Direction", way), field("Memory", tiles, "Tiles need less memory; where they are not exact, their seams are blended")),
      h("div", { class: "actions" }, h("button", { class: "primary", onclick: () => start([chosenFile]) }, "Translate this file"),
        h("button", { onclick: () => start([...files.keys()]) }, "Translate all files")))));
  take = async (chosen) => {
    const added = await upload(chosen);
    if (added.length) select(added[0].id);
  };
  const stop = onFiles(showTray);
  if (!files.has(chosenFile)) chosenFile = [...files.keys()][0] || null;
  showTray();
  show();
  listRuns();
  return () => { stop(); closing(); };

  async function listRuns() {
    const found = await attempt(() => request("GET", "/api/library"));
    const models = state.models.map((one) => ({ ...one, method: "ONNX" }));
    const usable = [...(found?.runs || []).filter((one) => one.usable), ...models];
    [...chosenRuns].forEach((id) => usable.some((one) => one.id === id) || chosenRuns.delete(id));
    if (!chosenRuns.size && usable.length) chosenRuns.add(usable[0].id);
    runs.replaceChildren(...(usable.length ? usable.map(option)
      : [h("p", { class: "soft" }, "There are no trained runs below the root folder. Open one with: ganvas studio RUN")]));
  }

  function option(one) {
    const box = h("input", { type: "checkbox", checked: chosenRuns.has(one.id),
      onchange: () => (box.checked ? chosenRuns.add(one.id) : chosenRuns.delete(one.id)) });
    return h("label", { class: "inline run" }, box, h("span", {}, one.name, h("small", {}, ` ${one.method}${one.scale > 1 ? `, ${one.scale} times larger` : ""}`)));
  }

  function showTray() {
    if (!files.has(chosenFile)) { chosenFile = [...files.keys()][0] || null; show(); }
    tray.replaceChildren(...[...files.values()].map((one) => h("li", { class: one.id === chosenFile ? "chosen" : "" },
      h("button", { class: "thumb", "aria-current": one.id === chosenFile ? "true" : null, onclick: () => select(one.id) },
        h("img", { src: `/pieces/${one.view}`, alt: "", loading: "lazy" }), h("span", {}, one.name),
        h("small", {}, results.has(one.id) ? "translated" : `${number(one.width)} × ${number(one.height)}`)),
      h("button", { class: "quiet remove", "aria-label": `Remove ${one.name}`, onclick: () => removeFile(one.id) }, "×"))));
  }

  function select(id) {
    chosenFile = id;
    showTray();
    show();
  }

  async function start(ids) {
    const wanted = ids.filter(Boolean);
    if (!wanted.length) return toast("Add a picture first.", "ask");
    if (!chosenRuns.size) return toast("Choose a run first.", "ask");
    await Promise.all([...chosenRuns].map(async (id) => {
      const job = await run("translate", { files: wanted, run: id, direction, tile: tile || null });
      if (job?.state === "refused") wanted.forEach((file) => keep(file, id, { problem: job.message, run: job.title }));
      if (job?.state !== "done") return;
      job.result.results.forEach((one) => keep(one.id, id, { ...one, run: job.result.run }));
    }));
    showTray();
    show();
    return undefined;
  }

  function keep(file, runId, result) {
    if (!results.has(file)) results.set(file, new Map());
    results.get(file).set(runId, result);
  }

  function show() {
    closing();
    closing = () => {};
    const one = files.get(chosenFile);
    if (!one) {
      stage.replaceChildren(h("p", { class: "empty" }, "Add a picture, choose a run, and translate it. The result is labeled as synthetic."));
      return;
    }
    const made = [...(results.get(one.id)?.values() || [])];
    const shown = made.filter((result) => result.view);
    const problems = made.filter((result) => result.problem).map((result) => h("p", { class: "problem" }, result.problem));
    if (!shown.length) {
      stage.replaceChildren(...problems, h("img", { class: "whole", src: `/pieces/${one.view}`, alt: one.name }));
      return;
    }
    const view = comparison(`/pieces/${one.view}`, shown.map((result) => ({ source: `/pieces/${result.view}`, label: result.run })), shown[0]);
    closing = view.close;
    stage.replaceChildren(...problems, view.element, h("div", { class: "bar" }, shown.map((result) =>
      h("a", { class: "button", href: `/pieces/${result.result}?save`, download: one.name }, `Download ${result.run} (labeled)`)), archives()),
      ...shown.filter((result) => result.film).map((result) => h("video", { controls: true, src: `/pieces/${result.result}`, preload: "metadata" })));
  }

  /** Return, for each run, a link to a ZIP file of its translations. */
  function archives() {
    const byRun = new Map();
    for (const [file, ofFile] of results) {
      if (!files.has(file)) continue;
      for (const result of ofFile.values()) if (result.result) byRun.set(result.run, [...(byRun.get(result.run) || []), result.result]);
    }
    return [...byRun].filter(([, ids]) => ids.length > 1).map(([name, ids]) => h("a", { class: "button", download: "results.zip",
      href: `/api/pieces.zip?${new URLSearchParams(ids.map((id) => ["id", id]))}` }, `Download all ${ids.length} from ${name} (labeled)`));
  }
}
