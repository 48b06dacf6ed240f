// Helpers for elements, messages and requests, shared by all sections of the page.

/** Make an element: attributes and properties, listeners (onclick, ...), then children. */
export function h(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (["value", "checked", "selected", "disabled", "hidden", "open", "textContent"].includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Send a request to the studio; throws an Error with the studio's message. */
export async function request(method, path, { json, body, headers = {}, signal } = {}) {
  const options = { method, signal, headers: { ...headers } };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers["content-type"] = "application/json";
  } else if (body !== undefined) {
    options.body = body;
    options.headers["content-type"] = "application/octet-stream";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The studio does not respond. Is it still running?");
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.error || `The studio responded with HTTP status ${answer.status}.`);
  return content;
}

/** Show a message for 5 s, an error for 15 s; a message of kind "ask" disappears when the user changes a setting. */
export function toast(text, kind = "info") {
  [...document.querySelectorAll(".toast")].filter((one) => one.dataset.text === text).forEach((one) => one.remove());
  const box = h("div", { class: `toast ${kind}`, "data-text": text }, h("span", {}, text),
    h("button", { class: "quiet", "aria-label": "Dismiss", onclick: () => box.remove() }, "×"));
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), kind === "error" ? 15000 : 5000);
}

document.addEventListener("change", () => document.querySelectorAll(".toast.ask").forEach((one) => one.remove()));

/** Return an ISO 8601 time in the format of the user's locale. */
export const localTime = (time) => new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

/** Run an action; if it fails, show its message and resolve to undefined. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    toast(error.message, "error");
    return undefined;
  }
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export const number = (value) => value.toLocaleString("en-US");
export const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

/** Return a form control with its label. */
export function field(label, control, hint) {
  const id = control.id || (control.id = `f${Math.random().toString(36).slice(2)}`);
  const note = hint ? h("small", { id: `${id}-hint` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: id }, label), control, note);
}

/** Return a group of buttons, exactly one of which is pressed. */
export function choices(label, options, chosen, onchange) {
  const group = h("div", { class: "choices", role: "group", "aria-label": label });
  const press = (value) => [...group.children].forEach((one) => one.setAttribute("aria-pressed", one.dataset.value === value));
  for (const [value, text, hint] of options) {
    group.append(h("button", { type: "button", "data-value": value, title: hint,
      onclick: () => { press(value); onchange(value); } }, text));
  }
  press(chosen);
  group.choose = press;
  return group;
}

/** Return an area where the user drops, pastes or chooses files and folders. */
export function dropzone(text, accept, onfiles) {
  const chooser = (options) => {
    const input = h("input", { type: "file", multiple: true, class: "visually-hidden", ...options,
      onchange: () => { onfiles(usable([...input.files])); input.value = ""; } });
    return input;
  };
  const zone = h("label", { class: "drop" }, chooser({ accept }), h("strong", {}, text), h("span", {}, "Drop, paste or choose"));
  const folder = h("label", { class: "button quiet folder" }, chooser({ webkitdirectory: true, "aria-label": "Choose a folder" }), "Choose a folder");
  const place = h("div", { class: "drop-place" }, zone, folder);
  place.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  place.addEventListener("dragleave", () => zone.classList.remove("over"));
  place.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    // Entries and files must be read before the event ends; folders are listed afterwards.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const dropped = [...event.dataTransfer.files];
    onfiles(entries.some((entry) => entry.isDirectory) ? usable((await Promise.all(entries.map(filesOf))).flat()) : dropped);
  });
  return place;
}

/** Return the files of a dropped entry, including those in its folders. */
async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader(), found = [];
  for (;;) { // a reader returns about a hundred entries per call
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(filesOf))).flat();
}

/** Drop hidden files such as .DS_Store and sort the rest by path, numbers by value. */
function usable(list) {
  const order = new Intl.Collator("en", { numeric: true }).compare;
  return list.filter((file) => !file.name.startsWith(".") && file.name !== "Thumbs.db")
    .sort((one, other) => order(one.webkitRelativePath || one.name, other.webkitRelativePath || other.name));
}
