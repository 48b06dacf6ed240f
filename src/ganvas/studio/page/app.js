// Entry point of the page: opens the section named in the URL fragment and passes pasted files to it.
import { attempt, h, request } from "./ui.js";
import { loadFiles, showJobs } from "./store.js";
import * as redact from "./redact.js";
import * as reports from "./reports.js";
import * as train from "./train.js";
import * as translate from "./translate.js";

const sections = { redact, translate, train, reports };
const main = document.getElementById("main");
let leave = () => {};
let current = null;
let state = null;

async function show() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const key = name in sections ? name : "redact";
  for (const link of document.querySelectorAll(".top nav a")) {
    if (link.hash === `#${key}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  leave();
  current = sections[key];
  document.title = `${key[0].toUpperCase()}${key.slice(1)} · ganvas studio`;
  const place = h("div", { class: `section ${key}` });
  main.replaceChildren(place);
  leave = current.open(place, state, rest) || (() => {});
}

document.addEventListener("paste", (event) => {
  const pasted = [...(event.clipboardData?.files || [])];
  if (pasted.length && current.paste) {
    event.preventDefault();
    current.paste(pasted);
  }
});
for (const kind of ["dragover", "drop"]) {
  window.addEventListener(kind, (event) => event.preventDefault()); // else a file dropped outside the drop zone replaces the page
}
window.addEventListener("hashchange", show);

await attempt(async () => {
  state = await request("GET", "/api/state");
  await loadFiles();
  showJobs();
  await show();
});
if (!state) main.replaceChildren(h("p", { class: "empty" }, "The studio does not respond. Start it again with: ganvas studio"));
