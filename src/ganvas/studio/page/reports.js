// Section Reports: lists and displays the reports of compare, evaluate, audit, demo and redacted films below the root.
import { attempt, h, request } from "./ui.js";

export function open(place, _state, [chosen]) {
  const title = h("h1", {}, "Reports");
  place.append(title);
  attempt(async () => {
    const { reports } = await request("GET", "/api/library");
    if (chosen) show(place, title, chosen, reports.find((one) => one.id === chosen));
    else place.append(list(reports));
  });
  return undefined;
}

/** Show one report, which runs no scripts and has no origin, in the page as in a separate tab. */
function show(place, title, id, report) {
  const address = `/reports/${encodeURIComponent(id)}`;
  if (!report) {
    place.append(h("p", { class: "empty" }, "This report no longer exists. ", h("a", { href: "#reports" }, "All reports")));
    return;
  }
  title.textContent = report.title;
  place.append(
    h("p", { class: "report-links" }, h("a", { href: "#reports" }, "All reports"),
      h("a", { href: address, target: "_blank", rel: "noopener" }, "Open in a new tab"), h("small", { class: "soft" }, report.name)),
    h("iframe", { class: "report", src: address, title: report.title, sandbox: "" }));
}

function list(reports) {
  if (!reports.length) {
    return h("p", { class: "empty" }, "There are no reports below the root folder. The ganvas commands compare, evaluate, audit and demo write reports.");
  }
  return h("ul", { class: "list" }, reports.map((one) =>
    h("li", {}, h("a", { href: `#reports/${one.id}` }, h("strong", {}, one.title), h("small", {}, one.name)))));
}
