// Section Reports: reports of compare, evaluate, audit, demo and redacted films below the root, inside the page.
import { attempt, h, request } from "./ui.js";

export function open(place, _state, [chosen]) {
  place.append(h("h1", {}, "Reports"));
  if (chosen) {
    place.append(h("p", {}, h("a", { href: "#reports" }, "All reports")),
      h("iframe", { class: "report", src: `/reports/${encodeURIComponent(chosen)}`, title: "Report", sandbox: "" }));
    return undefined;
  }
  attempt(async () => {
    const { reports } = await request("GET", "/api/library");
    place.append(reports.length
      ? h("ul", { class: "list" }, reports.map((one) => h("li", {}, h("a", { href: `#reports/${one.id}` }, h("strong", {}, one.title), h("small", {}, one.name)))))
      : h("p", { class: "empty" }, "No report lies below the root folder. `ganvas compare`, `evaluate`, `audit` and `demo` write one."));
  });
  return undefined;
}
