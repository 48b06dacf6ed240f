// User interface of the page. It passes one picture at a time to the worker, which checks and translates it.

const $ = (id) => document.getElementById(id);
const show = (id, visible) => ($(id).hidden = !visible);
const RELOADED = "ganvas: reloaded for threads";
const START_TIMEOUT = 3000; // milliseconds to wait for the service worker

let worker = null;
let settings = null;
let loaded = false;
let broken = false; // the worker did not start; the next picture starts another one
let waiting = null; // a picture that was chosen before the model was loaded
let working = null; // the picture in the worker
const addresses = []; // object URLs of the two pictures on the page

if (await isolate()) begin();

// Threads need two response headers, which a service worker adds from the second load of the page on.
async function isolate() {
  if (self.crossOriginIsolated || !self.isSecureContext || !navigator.serviceWorker) return true;
  try {
    await navigator.serviceWorker.register("isolation.js");
    const waited = new Promise((resolve) => setTimeout(resolve, START_TIMEOUT)); // a browser may never start it
    const started = await Promise.race([navigator.serviceWorker.ready, waited]);
    if (!started || sessionStorage.getItem(RELOADED)) return true;
    sessionStorage.setItem(RELOADED, "yes");
  } catch {
    return true; // private windows may forbid service workers; one thread then
  }
  location.reload();
  return false;
}

async function begin() {
  try {
    settings = await (await fetch("ganvas.json")).json();
    describe(settings);
  } catch (error) {
    return fail(`The page is incomplete: ganvas.json cannot be read (${error.message}). Export it again.`);
  }
  listen();
  startWorker();
}

function describe({ title, about, software, most_pixels: most }) {
  document.title = `${title} – picture translation`;
  $("model").textContent = `The model is ${title}.`;
  $("about").textContent = about;
  $("software").textContent = software;
  $("most").textContent = Math.floor(most / 1e6);
  $("choose").disabled = false;
}

function startWorker() {
  loaded = broken = false;
  step("Loading the model");
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => answers[data.kind](data);
  worker.onerror = (event) => {
    event.preventDefault();
    cannotStart(`The page cannot start: ${event.message || "a file is missing"}. Export it again, or use a newer browser.`);
  };
}

const answers = {
  loading: ({ done, total }) => step("Loading the model", { done, total, left: megabytes(done, total) }),
  ready: ({ device, notes, gate }) => {
    loaded = true;
    $("device").textContent = [device, ...notes].join(". ");
    show("running", true);
    show("work", false);
    if (gate) fail(`The content gate is not available (${gate}), so every picture is refused. Export the page again.`);
    if (waiting) translate(waiting);
    waiting = null;
  },
  step: ({ text, done, total, left }) =>
    step(total ? `${text}: tile ${done} of ${total}` : text, { done, total, left: total && `${duration(left)} left` }),
  admitted: () => {},
  done: finish,
  refused: ({ text }) => fail(text),
  failed: ({ text }) => fail(text),
  broken: ({ text }) => cannotStart(`The model cannot be loaded: ${text}`),
};

function cannotStart(text) {
  broken = true;
  waiting = null;
  worker.terminate();
  fail(text);
}

function listen() {
  $("file").addEventListener("change", ({ target }) => {
    if (target.files.length) chooseFrom(target.files);
    target.value = ""; // so that the same file can be chosen again
  });
  addEventListener("paste", ({ clipboardData }) => chooseFrom(clipboardData.files));
  for (const kind of ["dragenter", "dragover"]) {
    addEventListener(kind, (event) => {
      event.preventDefault();
      $("drop").classList.add("over");
    });
  }
  addEventListener("dragleave", ({ relatedTarget }) => relatedTarget ?? $("drop").classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    chooseFrom(event.dataTransfer.files);
  });
  $("cancel").addEventListener("click", cancel);
  for (const id of ["choose", "another"]) $(id).addEventListener("click", () => $("file").click());
  $("position").addEventListener("input", place);
}

function chooseFrom(files) {
  if (working || !files.length) return;
  const pictures = [...files].filter(({ type }) => type.startsWith("image/") || !type);
  if (!pictures.length) return fail("That is not a picture. PNG, JPEG and WebP work everywhere.");
  if (!loaded) {
    show("problem", false);
    if (broken) startWorker();
    waiting = pictures[0];
    return step("Loading the model; your picture comes next");
  }
  translate(pictures[0]);
}

function translate(file) {
  clear();
  working = file;
  show("drop", false);
  show("cancelling", true);
  step("Reading the picture");
  $("cancel").focus();
  worker.postMessage(file);
}

// A running network cannot be interrupted, so terminate the worker and start another, which loads the model again.
function cancel() {
  worker.terminate();
  rest();
  startWorker();
  $("choose").focus();
}

function rest() {
  working = null;
  show("cancelling", false);
  show("drop", true);
}

function clear() {
  addresses.splice(0).forEach((address) => URL.revokeObjectURL(address));
  show("problem", false);
  show("result", false);
}

function fail(text) {
  const hadFocus = document.activeElement === $("cancel");
  show("work", false);
  rest();
  $("problem").textContent = text;
  show("problem", true);
  if (hadFocus) $("choose").focus();
}

// Show the labeled file itself, so that "Save image as" saves it with its label.
function finish({ png, notes, width, height, seconds, device }) {
  const name = (working.name || "picture").replace(/\.[^.]*$/, "");
  addresses.push(URL.createObjectURL(working), URL.createObjectURL(png));
  [$("before").src, $("after").src] = addresses;
  $("compare").style.setProperty("--ratio", `${width} / ${height}`);
  $("compare").style.setProperty("--width", `${width}px`);
  $("compare").style.setProperty("--tall", width / height);
  $("position").value = 50;
  place();
  $("notes").replaceChildren(
    ...notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })),
  );
  $("facts").textContent = `${width} × ${height}, ${duration(seconds)}`;
  $("device").textContent = device;
  Object.assign($("download"), { href: addresses[1], download: `${name}-synthetic.png` });
  show("work", false);
  rest();
  show("drop", false);
  show("result", true);
  $("download").focus();
}

function place() {
  const { value } = $("position");
  $("compare").style.setProperty("--position", `${value}%`);
  $("position").setAttribute("aria-valuetext", `${value} % before, ${100 - value} % after`);
}

function step(text, { done, total, left } = {}) {
  show("work", true);
  if ($("step").textContent !== text) $("step").textContent = text;
  $("left").textContent = left || "";
  if (total) Object.assign($("progress"), { max: total, value: done });
  else $("progress").removeAttribute("value");
}

const megabytes = (done, total) => `${Math.round(done / 1e6)} of ${Math.round(total / 1e6)} MB`;

function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
