// Review: before (hidden until it is asked for), after, regions with scores, the most doubtful first, and sign-off.
import { attempt, h, percent, request, toast } from "./ui.js";
import { changed, files, onFiles } from "./store.js";

let reviewer = "";

export function review(place, jobRequest, edit) {
  const name = h("input", { type: "text", value: reviewer, id: "reviewer", autocomplete: "name", oninput: () => { reviewer = name.value; } });
  const list = h("ol", { class: "cards" });
  const summary = h("p", { class: "soft", "aria-live": "polite" });
  place.append(h("div", { class: "bar" }, h("label", { for: "reviewer" }, "Your name for the log"), name, h("span", { class: "gap" }),
    h("a", { class: "button primary", href: "/api/review.zip", download: "redacted.zip" }, "Download all with the log")), summary, list);
  show();
  return onFiles(show);

  function show() {
    const done = [...files.values()].filter((one) => one.review?.rounds).sort((a, b) => rank(a) - rank(b));
    const signed = done.filter((one) => one.review.signed).length;
    summary.textContent = done.length ? `${signed} of ${done.length} signed off. The most doubtful come first.`
      : "Nothing is redacted yet.";
    list.replaceChildren(...done.map(card));
  }

  function card(one) {
    const { review: state } = one;
    const line = state.line || {};
    const detections = line.detections || [];
    const before = h("img", { src: `/pieces/${one.view}`, alt: `${one.name} before`, class: "veiled" });
    const cover = h("button", { class: "veil", onclick: () => { const hidden = before.classList.toggle("veiled"); cover.textContent = hidden ? "Show the original" : "Hide"; } }, "Show the original");
    return h("li", { class: `card ${state.signed ? "signed" : ""}` },
      h("div", { class: "pair" }, h("figure", {}, h("div", { class: "frame" }, before, cover), h("figcaption", {}, "Before")),
        h("figure", {}, state.view ? h("img", { src: `/pieces/${state.view}`, alt: `${one.name} after` }) : h("p", { class: "problem" }, state.problem),
          h("figcaption", {}, "After"))),
      h("div", { class: "facts" }, h("h2", {}, one.name),
        h("p", {}, h("span", { class: `doubt ${state.doubt > 0.6 ? "high" : state.doubt > 0.35 ? "medium" : "low"}` }, `Doubt ${percent(state.doubt)}`), ` ${state.why}`),
        line.verdict ? h("p", {}, `${line.verdict}.`) : null,
        line.region ? h("p", { class: "soft" }, `${line.style}, ${line.region.boxes.length} region${line.region.boxes.length === 1 ? "" : "s"}, ${percent(line.region.share)} covered`) : null,
        detections.length ? h("p", {}, detections.slice(0, 12).map((found) => h("span", { class: "chip" }, `${found.label} ${found.score.toFixed(2)}`))) : null,
        line.score_before ? h("p", { class: "soft" }, `Score of ${line.class}: ${top(line.score_before)} before, ${top(line.score_after)} after`) : null,
        h("div", { class: "bar" }, signButton(one),
          h("button", { onclick: () => edit(one.id) }, "Correct the region"),
          state.result ? h("a", { class: "button", href: `/pieces/${state.result}?save`, download: one.name }, "Download") : null,
          state.page ? h("a", { class: "button", href: `/pieces/${state.page}`, target: "_blank", rel: "noopener" }, "Frames and tracks") : null),
        state.signed ? h("p", { class: "soft" }, `Signed off by ${state.signed.by}, ${state.signed.time}`) : null));
  }

  function signButton(one) {
    if (!one.review.view) return null;
    const signed = Boolean(one.review.signed);
    return h("button", { class: signed ? "" : "primary", "aria-label": `${signed ? "Take back the sign-off of" : "Sign off"} ${one.name}`, onclick: async () => {
      if (!signed && !reviewer.trim()) {
        toast("Give your name for the log first.");
        name.focus();
        return;
      }
      const answer = await attempt(() => request("POST", `/api/files/${one.id}/sign`, { json: { by: signed ? "" : reviewer.trim() } }));
      if (!answer) return;
      files.set(one.id, answer);
      changed();
    } }, signed ? "Take back" : "Sign off");
  }
}

const rank = (one) => (one.review.signed ? 10 : 0) - one.review.doubt;
const top = (scores) => Math.max(...Object.values(scores)).toFixed(2);
