// The upload of a bundle by tus: dropped or chosen, paused, resumed, also after the page was loaded anew, when the
// same file is chosen again. What became of it is told by the portal, on a page of its own.

const RATE_OVER_MS = 4000;
const RETRY_AFTER_MS = [0, 1000, 3000, 5000, 10000, 20000, 30000];
const PASSING = [409, 423]; // another request is still at it
const UNITS = ["kB", "MB", "GB", "TB"];

const card = document.querySelector("[data-upload]");
const part = (name) => card.querySelector(`[data-${name}]`);
const chooser = card.querySelector("input[type=file]");
const bar = card.querySelector("progress");
const token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];

let upload = null; // the one that goes on, or is paused
let samples = []; // [time, bytes] of the last seconds

function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  let value = bytes;
  let unit = "";
  for (unit of UNITS) {
    value /= 1000;
    if (value < 999.95) break;
  }
  return `${value.toFixed(1)} ${unit}`;
}

function span(seconds) {
  if (seconds < 120) return `${Math.ceil(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

function say(kind, text) {
  const said = part("said");
  said.className = `flash ${kind}`;
  said.textContent = text;
  said.hidden = text === "";
}

function show({ sending }) {
  part("drop").hidden = sending;
  part("sending").hidden = !sending;
}

function showProgress(sent, total) {
  if (part("said").classList.contains("warn")) say("info", "");
  const now = performance.now();
  samples = samples.filter(([at, bytes]) => now - at < RATE_OVER_MS && bytes <= sent);
  samples.push([now, sent]);
  bar.max = total;
  bar.value = sent;
  showFigures();
}

function showFigures() {
  const words = [`${size(bar.value)} of ${size(bar.max)}`, `${Math.floor((bar.value * 100) / bar.max)} %`];
  const [[since, from], [until, to]] = samples.length ? [samples[0], samples.at(-1)] : [[0, 0], [0, 0]];
  if (to > from) {
    const rate = ((to - from) * 1000) / (until - since);
    words.push(`${size(Math.round(rate))}/s`, `${span((bar.max - bar.value) / rate)} left`);
  }
  part("figures").textContent = words.join(" · ");
}

// What the portal said, or that it said nothing.
function reason(error) {
  const body = error.originalResponse?.getBody();
  if (!body) return "The portal cannot be reached.";
  try {
    const told = JSON.parse(body);
    return `${told.detail} (${told.code})`;
  } catch {
    return `The portal answered ${error.originalResponse.getStatus()}.`;
  }
}

// What may pass by itself is tried again, for a minute or so: a cut line, a full disk, a portal that starts anew.
function triesAgain(error) {
  const status = error.originalResponse?.getStatus() ?? 0;
  const passes = status < 400 || status >= 500 || PASSING.includes(status);
  if (passes) say("warn", `${reason(error)} Trying again.`);
  return passes;
}

function setPaused(paused) {
  const button = part("pause");
  button.textContent = paused ? "Resume" : "Pause";
  button.dataset.paused = paused ? "yes" : "";
  samples = []; // what stands still has no rate
  showFigures();
}

function go() {
  setPaused(false);
  upload.start();
}

async function begin(file) {
  say("info", "");
  upload = new window.tus.Upload(file, {
    endpoint: card.dataset.upload,
    chunkSize: Number(card.dataset.pieceBytes),
    headers: { "X-CSRFToken": token },
    metadata: { filename: file.name },
    retryDelays: RETRY_AFTER_MS,
    removeFingerprintOnSuccess: true,
    onProgress: showProgress,
    onShouldRetry: triesAgain,
    onError: (error) => {
      setPaused(true);
      say("bad", `${reason(error)} Resume to try again: what has arrived is safe.`);
    },
    onSuccess: () => location.assign(`${card.dataset.outcome}/${upload.url.split("/").pop()}`),
  });
  const [before] = await upload.findPreviousUploads();
  if (before) {
    upload.resumeFromPreviousUpload(before);
    say("info", "Part of this file is here already: the upload goes on where it was.");
  }
  part("name").textContent = file.name;
  bar.max = file.size || 1;
  bar.value = 0;
  show({ sending: true });
  part("pause").focus();
  go();
}

async function pauseOrResume() {
  if (part("pause").dataset.paused) {
    say("info", "");
    go();
    return;
  }
  setPaused(true);
  await upload.abort();
  say("info", "Paused. What has arrived is safe; it can go on within a day, also after this page was closed.");
}

async function cancel() {
  try {
    await upload.abort(true);
    say("info", "Cancelled. What had arrived was deleted.");
  } catch (error) {
    say("bad", reason(error));
  }
  upload = null;
  chooser.value = "";
  show({ sending: false });
  chooser.focus();
}

chooser.addEventListener("change", () => chooser.files.length && begin(chooser.files[0]));
part("pause").addEventListener("click", pauseOrResume);
part("cancel").addEventListener("click", cancel);

const zone = part("drop");
for (const name of ["dragenter", "dragover"]) {
  zone.addEventListener(name, (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
}
zone.addEventListener("dragleave", () => zone.classList.remove("over"));
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  if (event.dataTransfer.files.length === 1) begin(event.dataTransfer.files[0]);
  else say("bad", "Drop one file: the vendor's bundle, as it came.");
});

part("without").hidden = true;
show({ sending: false });
