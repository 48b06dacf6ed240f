// Section Redact: add pictures, find or paint regions, cover them, and review the results.
import { attempt, choices, dropzone, field, h, number, percent, request, toast } from "./ui.js";
import { changed, files, onFiles, removeFile, run, upload } from "./store.js";
import { comparison } from "./compare.js";
import { Editor, maskStroke } from "./editor.js";
import { film, inWords, review } from "./review.js";

const ACCEPT = "image/*,video/*,.tif,.tiff,.npy,.mkv";
export const strokes = new Map(); // file id -> its painted strokes
const settings = { classifier: "", className: "", detect: new Set(), style: "solid", blocks: 4, sigma: 0, margin: 0.2, coverage: 0.9 };
let current = null; // id of the open file
let take = () => {};

export const paste = (pasted) => take(pasted);

export function open(place, state, [view]) {
  const tabs = h("nav", { class: "sub", "aria-label": "Redact" },
    h("a", { href: "#redact", "aria-current": view === "review" ? null : "page" }, "Mark and cover"),
    h("a", { href: "#redact/review", "aria-current": view === "review" ? "page" : null }, "Review and download"));
  place.append(h("h1", {}, "Redact"), tabs);
  return view === "review" ? review(place, jobRequest, edit) : workshop(place, state);
}

/** Return the body of a request to find or redact regions in files. */
export function jobRequest(ids) {
  const finder = { classifier: settings.classifier || null, class_name: settings.className || null, detect: [...settings.detect],
    margin: settings.margin, coverage: settings.classifier ? settings.coverage : null };
  return { files: ids, finder, strength: strength() };
}

function strength() {
  return { style: settings.style, blocks: settings.style === "mosaic" ? settings.blocks : null,
    sigma: settings.style === "blur" && settings.sigma ? settings.sigma : null };
}

function edit(id) {
  current = id;
  location.hash = "#redact";
}

function workshop(place, state) {
  let closing = () => {};
  const editor = new Editor(() => { strokes.set(current, editor.strokes); dirty.add(current); });
  const dirty = new Set();
  const tray = h("ul", { class: "tray", "aria-label": "Files" });
  const result = h("div", { class: "result" });
  const found = h("div", { class: "found", "aria-live": "polite" });
  const stage = h("div", { class: "work" }, editor.element, found, result);
  const zone = dropzone("Add pictures or a film", ACCEPT, (chosen) => take(chosen));
  const side = h("div", { class: "side" }, zone, tray);
  const options = h("div", { class: "side options" }, finderForm(state, findRegions), coverForm(), actions());
  place.append(h("div", { class: "workshop" }, side, stage, options));
  take = async (chosen) => {
    const added = await upload(chosen);
    if (added.length) select(added[0].id);
  };
  const stopListening = onFiles(showTray);
  if (!files.has(current)) current = [...files.keys()][0] || null;
  showTray();
  select(current);
  return () => { stopListening(); closing(); editor.close(); };

  function showTray() {
    if (current && !files.has(current)) select([...files.keys()][0] || null);
    tray.replaceChildren(...[...files.values()].map((one) => h("li", { class: one.id === current ? "chosen" : "" },
      h("button", { class: "thumb", "aria-current": one.id === current ? "true" : null, onclick: () => select(one.id) },
        h("img", { src: `/pieces/${one.view}`, alt: "", loading: "lazy" }),
        h("span", {}, one.name), h("small", {}, `${number(one.width)} × ${number(one.height)}${one.kind === "film" ? ", film" : ""}`)),
      h("button", { class: "quiet remove", "aria-label": `Remove ${one.name}`, onclick: () => removeFile(one.id) }, "×"))));
  }

  async function select(id) {
    const again = current === id;
    current = id;
    closing();
    closing = () => {};
    result.replaceChildren();
    found.replaceChildren();
    stage.classList.toggle("blank", !id);
    if (!again) showTray();
    if (!id) return;
    editor.wait();
    const image = new Image();
    image.src = `/pieces/${files.get(id).view}`;
    await image.decode().catch(() => toast("The picture cannot be shown.", "error"));
    const { mask } = files.get(id);
    if (mask && !strokes.has(id)) strokes.set(id, [await maskStroke(`/pieces/${mask}`)]); // painted on an earlier visit
    if (current !== id) return;
    editor.open(image, strokes.get(id) || []);
    if (files.get(id).review?.view) showResult();
  }

  async function sendMask(id) {
    if (!dirty.has(id)) return;
    const address = `/api/files/${id}/mask`;
    const answer = editor.isEmpty ? await request("DELETE", address) : await request("PUT", address, { body: await editor.mask() });
    dirty.delete(id);
    files.get(id).mask = answer.mask || null;
  }

  async function findRegions() {
    if (!current) return toast("Add a picture first.", "ask");
    const id = current;
    const job = await run("find", jobRequest([id]));
    if (job?.state !== "done" || current !== id) return undefined;
    const { boxes, heat, score } = job.result;
    const shown = h("input", { type: "checkbox", checked: Boolean(heat), onchange: () => editor.setHeat(shown.checked ? layer : null) });
    let layer = null;
    if (heat) {
      layer = new Image();
      layer.src = `/pieces/${heat}`;
      await layer.decode();
      editor.setHeat(layer);
    }
    const words = boxes.length ? `${boxes.length} region${boxes.length > 1 ? "s" : ""}: ` : "No regions were found. ";
    found.replaceChildren(
      h("p", {}, words, boxes.slice(0, 12).map((one) => h("span", { class: "chip" }, `${one.label} ${one.score.toFixed(2)}`)),
        score !== null ? ` The classifier gives the picture a score of ${score.toFixed(2)}; at 0.2 or less, the class counts as no longer recognized.` : ""),
      h("div", { class: "bar" },
        boxes.length ? h("button", { onclick: () => editor.addBoxes(boxes.map((one) => one.box)) }, "Paint these regions") : null,
        heat ? h("label", { class: "inline" }, shown, " Heat map") : null));
    return undefined;
  }

  /** Show the earlier measurement of this style and strength, if there is one. */
  async function recall(verdict) {
    const { style, ...values } = strength();
    const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
    const known = await request("GET", `/api/cover-audit/${style}?${query}`).catch(() => ({}));
    if (known.text && JSON.stringify(strength()) === JSON.stringify({ style, ...values })) verdict.replaceChildren(auditWords(known));
  }

  function coverForm() {
    const verdict = h("p", { class: "verdict", "aria-live": "polite" });
    const more = h("div", {});
    const measure = h("button", { onclick: async () => {
      const job = await run("cover_audit", { strength: strength() });
      if (job?.state === "done") verdict.replaceChildren(auditWords(job.result));
    } }, "Measure how much it hides");
    const blocks = h("input", { type: "number", min: "1", max: "64", value: settings.blocks,
      oninput: () => { settings.blocks = Number(blocks.value) || 4; verdict.replaceChildren(); recall(verdict); } });
    const sigma = h("input", { type: "number", min: "0", max: "500", step: "1", value: settings.sigma,
      oninput: () => { settings.sigma = Number(sigma.value) || 0; verdict.replaceChildren(); recall(verdict); } });
    const show = () => {
      verdict.replaceChildren(settings.style === "solid" ? "Replaces every pixel of the region: the only style that hides reliably." : "");
      more.replaceChildren(...(settings.style === "mosaic" ? [field("Blocks across a region", blocks, "At most 6 if you publish the result")]
        : settings.style === "blur" ? [field("Sigma in pixels", sigma, "0 means one eighth of the region's longer side")] : []));
      measure.hidden = settings.style === "solid";
      if (settings.style !== "solid") recall(verdict);
    };
    const style = choices("Style", [["solid", "Solid"], ["mosaic", "Mosaic"], ["blur", "Blur"]], settings.style, (value) => { settings.style = value; show(); });
    show();
    return h("fieldset", {}, h("legend", {}, "Cover"), style, more, verdict, measure);
  }

  function actions() {
    return h("div", { class: "actions" },
      h("button", { class: "primary", onclick: () => redact(current ? [current] : []) }, "Redact this file"),
      h("button", { onclick: () => redact([...files.keys()]) }, "Redact all files"),
      h("button", { onclick: savePairs }, "Save training pairs"));
  }

  async function redact(ids) {
    if (!ids.length) return toast("Add a picture first.", "ask");
    const sent = await attempt(async () => { if (current) await sendMask(current); return true; });
    if (!sent) return undefined;
    const job = await run("redact", jobRequest(ids));
    if (job?.state !== "done") return undefined;
    if (job.result.warning) toast(job.result.warning);
    const list = await request("GET", "/api/files");
    list.forEach((one) => files.set(one.id, one));
    changed();
    if (ids.length > 1) location.hash = "#redact/review";
    else showResult();
    return undefined;
  }

  async function savePairs() {
    const done = [...files.values()].filter((one) => one.review?.view && one.kind === "picture").map((one) => one.id);
    const job = await run("pairs", { files: done, strength: strength() });
    if (job?.state === "done") toast(`Saved in the root folder as ${job.result.folder}: ${job.result.text}`);
  }

  function showResult() {
    closing();
    const one = files.get(current);
    if (one.review.problem) {
      result.replaceChildren(h("p", { class: "problem" }, one.review.problem));
      return;
    }
    const { line } = one.review;
    const shown = comparison(`/pieces/${one.view}`, [{ source: `/pieces/${one.review.view}`, label: "After" }], one);
    closing = shown.close;
    result.replaceChildren(...[h("h2", {}, "Result"), h("p", {}, `${line.verdict}. ${inWords(one.review)}`), shown.element,
      one.kind === "film" ? film(one.name, { src: one.review.result, still: one.review.view, label: `${one.name} after` }) : null,
      h("div", { class: "bar" }, h("a", { class: "button", href: "#redact/review" }, "Review"),
        h("a", { class: "button", href: `/pieces/${one.review.result}?save`, download: one.name }, "Download"))].filter(Boolean));
  }
}

function auditWords(result) {
  const words = result.text[0].toUpperCase() + result.text.slice(1);
  const range = `${percent(result.low)} to ${percent(result.high)} at 95 % confidence`;
  return h("span", {}, h("strong", {}, words), `, by a classifier trained on handwritten digits under such covers (${range}).`);
}

function finderForm(state, find) {
  const className = h("input", { type: "text", value: settings.className, placeholder: "zebra", oninput: () => { settings.className = className.value; } });
  const classRow = field("Class", className, "A class of the classifier, such as zebra");
  const names = { nsfw: "Nudity (Open NSFW)", imagenet: "ImageNet classes" };
  const select = h("select", { onchange: () => { settings.classifier = select.value; show(); } },
    h("option", { value: "" }, "None"),
    state.classifiers.map((name) => h("option", { value: name, selected: settings.classifier === name }, names[name] || name)),
    state.models.map((one) => h("option", { value: one.id, selected: settings.classifier === one.id }, one.name)));
  const detectors = [...state.detectors.map((name) => ({ id: name, name: name[0].toUpperCase() + name.slice(1) })), ...state.models];
  const boxes = detectors.map((one) => {
    const box = h("input", { type: "checkbox", checked: settings.detect.has(one.id),
      onchange: () => (box.checked ? settings.detect.add(one.id) : settings.detect.delete(one.id)) });
    return h("label", { class: "inline" }, box, ` ${one.name}`);
  });
  const show = () => { classRow.hidden = !settings.classifier || settings.classifier === "nsfw"; };
  show();
  return h("fieldset", {}, h("legend", {}, "Find"), h("div", { class: "field" }, h("span", {}, "Detectors"), h("div", { class: "boxes" }, boxes)),
    field("Classifier", select), classRow, h("button", { onclick: find }, "Find regions"));
}
