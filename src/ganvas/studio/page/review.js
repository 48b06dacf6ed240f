// Review of results, the most doubtful first: the original (blurred until revealed), the result, regions with scores,
// and the sign-off.
import { attempt, h, localTime, percent, request } from "./ui.js";
import { changed, files, onFiles } from "./store.js";

let reviewer = "";
const seen = new Set(); // ids of the uploads whose originals were revealed

/** Return how much is covered, as a sentence. */
export function inWords(review) {
  return `${review.words[0].toUpperCase()}${review.words.slice(1)}.`;
}

/** Return an element that plays a film; src (the film) and still (its poster) are ids below /pieces/. */
export function film(name, { src, still, label }) {
  if (/\.(gif|webp|png)$/i.test(name)) return h("img", { src: `/pieces/${src}`, alt: label });
  return h("video", { controls: true, src: `/pieces/${src}`, poster: `/pieces/${still}`, preload: "metadata", "aria-label": label });
}

export function review(place, jobRequest, edit) {
  const name = h("input", { type: "text", value: reviewer, id: "reviewer", autocomplete: "name", "aria-describedby": "reviewer-needed",
    oninput: () => { reviewer = name.value; needed.hidden = Boolean(reviewer.trim()) || needed.hidden; } });
  const needed = h("span", { class: "problem", id: "reviewer-needed", role: "alert", hidden: true }, "Enter your name for the log first.");
  const all = h("a", { class: "button primary", download: "redacted.zip" }, "Download all with the log");
  const list = h("ol", { class: "cards" });
  const summary = h("p", { class: "soft", "aria-live": "polite" });
  place.append(h("div", { class: "bar" }, h("label", { for: "reviewer" }, "Your name for the log"), name, needed, h("span", { class: "gap" }), all), summary, list);
  show();
  return onFiles(show);

  function show() {
    const done = [...files.values()].filter((one) => one.review?.rounds).sort((a, b) => rank(a) - rank(b));
    const signed = done.filter((one) => one.review.signed).length;
    summary.textContent = done.length ? `${signed} of ${done.length} signed off. The most doubtful results come first.`
      : "Nothing has been redacted yet.";
    const some = done.some((one) => one.review.result);
    if (some) all.href = "/api/review.zip";
    else all.removeAttribute("href");
    all.setAttribute("aria-disabled", String(!some));
    list.replaceChildren(...done.map(card));
  }

  function card(one) {
    const { review: state } = one;
    const line = state.line || {};
    const detections = line.detections || [];
    const before = state.original ? film(one.name, { src: state.original, still: one.view, label: `${one.name} before` })
      : h("img", { src: `/pieces/${one.view}`, alt: `${one.name} before` });
    before.classList.add("veiled");
    before.controls = false; // a blurred film shows no controls
    const cover = h("button", { class: "veil", onclick: () => {
      const hidden = before.classList.toggle("veiled");
      before.controls = !hidden;
      if (hidden) before.pause?.();
      else seen.add(one.id);
      cover.textContent = hidden ? "Show the original" : "Hide";
    } }, "Show the original");
    return h("li", { class: `card ${state.signed ? "signed" : ""}` },
      h("div", { class: "pair" }, h("figure", {}, h("div", { class: "frame" }, before, cover), h("figcaption", {}, "Before")),
        h("figure", {}, state.original ? film(one.name, { src: state.result, still: state.view, label: `${one.name} after` })
          : state.view ? h("img", { src: `/pieces/${state.view}`, alt: `${one.name} after` }) : h("p", { class: "problem" }, state.problem),
          h("figcaption", {}, "After"))),
      h("div", { class: "facts" }, h("h2", {}, one.name),
        h("p", {}, h("span", { class: `doubt ${state.doubt > 0.6 ? "high" : state.doubt > 0.35 ? "medium" : "low"}` }, `Doubt ${percent(state.doubt)}`), ` ${state.why}`),
        line.verdict ? h("p", {}, `${line.verdict}.`) : null,
        state.words ? h("p", { class: "soft" }, inWords(state)) : null,
        detections.length ? h("p", {}, detections.slice(0, 12).map((found) => h("span", { class: "chip" }, `${found.label} ${found.score.toFixed(2)}`))) : null,
        line.score_before ? h("p", { class: "soft" }, `Score of ${line.class}: ${top(line.score_before)} before, ${top(line.score_after)} after`) : null,
        h("div", { class: "bar" }, signButton(one),
          h("button", { onclick: () => edit(one.id) }, "Correct the region"),
          state.result ? h("a", { class: "button", href: `/pieces/${state.result}?save`, download: one.name }, "Download") : null,
          state.page ? h("a", { class: "button", href: `/pieces/${state.page}`, target: "_blank", rel: "noopener" }, "Frames and tracks") : null),
        state.signed ? h("p", { class: "soft" }, `Signed off by ${state.signed.by}, ${localTime(state.signed.time)}; original viewed: ${state.signed.original_seen ? "yes" : "no"}`) : null));
  }

  function signButton(one) {
    if (!one.review.view) return null;
    const signed = Boolean(one.review.signed);
    return h("button", { class: signed ? "" : "primary", "aria-label": `${signed ? "Take back the sign-off of" : "Sign off"} ${one.name}`, onclick: async () => {
      if (!signed && !reviewer.trim()) {
        needed.hidden = false;
        name.focus();
        return;
      }
      if (!signed && !one.review.covered && !window.confirm(`Nothing is covered in ${one.name}. Sign it off anyway?`)) return;
      const answer = await attempt(() => request("POST", `/api/files/${one.id}/sign`, { json: { by: signed ? "" : reviewer.trim(), original_seen: seen.has(one.id) } }));
      if (!answer) return;
      files.set(one.id, answer);
      changed();
    } }, signed ? "Take back" : "Sign off");
  }
}

const rank = (one) => (one.review.signed ? 10 : 0) - one.review.doubt;
const top = (scores) => Math.max(...Object.values(scores)).toFixed(2);
