// Uploads and jobs, shared by the sections of the page.
import { attempt, duration, h, number, request, toast } from "./ui.js";

export const files = new Map();
const listeners = new Set();
const waiting = new Map();
let polling = null;
let jobs = [];

/** Register a listener for changes of the uploads; returns a function that removes it. */
export function onFiles(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const changed = () => listeners.forEach((listener) => listener());

export async function loadFiles() {
  const list = await request("GET", "/api/files");
  files.clear();
  list.forEach((one) => files.set(one.id, one));
  changed();
}

/** Upload files one after the other; returns the uploads that were accepted. */
export async function upload(chosen) {
  const done = [];
  for (const file of chosen) {
    const note = document.getElementById("jobs-button");
    note.textContent = `Uploading ${file.name} ...`;
    const one = await attempt(async () => {
      try {
        return await request("POST", "/api/files", { body: file, headers: { "x-name": encodeURIComponent(file.name) } });
      } catch (error) {
        throw new Error(`${file.name}: ${error.message}`);
      }
    });
    if (one) {
      files.set(one.id, one);
      done.push(one);
      changed();
    }
  }
  showJobs();
  return done;
}

export async function removeFile(id) {
  await attempt(() => request("DELETE", `/api/files/${id}`));
  files.delete(id);
  changed();
}

/** Start a job and wait for its end; resolves to the ended job, or to undefined if it could not start. */
export async function run(kind, jobRequest, onstart = () => {}) {
  const started = await attempt(() => request("POST", `/api/jobs/${kind}`, { json: jobRequest }));
  if (!started) return undefined;
  onstart(started.id);
  const ended = new Promise((resolve) => waiting.set(started.id, resolve));
  poll();
  const job = await ended;
  job.notes.forEach((note) => toast(note[0].toUpperCase() + note.slice(1)));
  if (job.state === "failed" || job.state === "refused") toast(job.message, "error");
  if (job.state === "cancelled") toast(`${job.title}: stopped`);
  return job;
}

async function poll() {
  if (polling) return;
  polling = true;
  try {
    while (waiting.size) {
      jobs = await request("GET", "/api/jobs");
      for (const job of jobs) {
        if (!["queued", "running"].includes(job.state) && waiting.has(job.id)) {
          waiting.get(job.id)(job);
          waiting.delete(job.id);
        }
      }
      showJobs();
      if (waiting.size) await new Promise((resolve) => setTimeout(resolve, 300));
    }
  } catch (error) {
    toast(error.message, "error");
    waiting.clear();
  } finally {
    polling = null;
    showJobs();
  }
}

/** Show the jobs in the corner of the page. */
export function showJobs() {
  const active = jobs.filter((job) => ["queued", "running"].includes(job.state));
  const button = document.getElementById("jobs-button");
  button.textContent = active.length ? `${active.length} job${active.length > 1 ? "s" : ""}` : "No jobs";
  button.classList.toggle("busy", active.length > 0);
  const panel = document.getElementById("jobs");
  const shown = [...active, ...jobs.filter((job) => !active.includes(job)).reverse().slice(0, 8)];
  const focused = panel.contains(document.activeElement) ? document.activeElement.dataset.job : null;
  panel.replaceChildren(h("h2", {}, "Jobs"), ...(shown.length ? shown.map(row) : [h("p", { class: "soft" }, "There are no jobs.")]));
  if (focused) panel.querySelector(`[data-job="${focused}"]`)?.focus();
}

function row(job) {
  const active = ["queued", "running"].includes(job.state);
  const [task, done, total] = job.progress || ["", 0, 0];
  const words = { queued: `queued, position ${job.position}`, running: task ? `${task}: ${number(done)} of ${number(total)}` : "running",
    done: `done in ${duration(job.seconds)}`, failed: job.message, refused: job.message, cancelled: "stopped" };
  return h("div", { class: `job ${job.state}` },
    h("strong", {}, job.title),
    h("span", {}, words[job.state], job.left ? `, ${duration(job.left)} left` : ""),
    active ? h("progress", { max: total || 1, value: total ? done : undefined, "aria-label": job.title }) : null,
    active ? h("button", { "data-job": job.id, onclick: () => attempt(() => request("DELETE", `/api/jobs/${job.id}`)) }, "Cancel") : null);
}

const jobsButton = document.getElementById("jobs-button");
const jobsPanel = document.getElementById("jobs");

function openJobs(open) {
  jobsPanel.hidden = !open;
  jobsButton.setAttribute("aria-expanded", String(open));
  if (open) showJobs();
}

jobsButton.addEventListener("click", () => openJobs(jobsPanel.hidden));
// The panel overlays the page; a press outside it or Escape closes it.
document.addEventListener("pointerdown", ({ target }) => {
  if (!jobsPanel.hidden && target.isConnected && !jobsPanel.contains(target) && !jobsButton.contains(target)) openJobs(false);
});
document.addEventListener("keydown", ({ key }) => {
  if (key !== "Escape" || jobsPanel.hidden) return;
  if (jobsPanel.contains(document.activeElement)) jobsButton.focus();
  openJobs(false);
});
