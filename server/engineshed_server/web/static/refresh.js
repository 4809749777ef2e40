// <div data-refresh="10" hx-get="…" hx-trigger="refresh" hx-swap="…">: asks for itself anew every so many seconds,
// as long as somebody can see it. A hidden tab asks nothing, and asks at once when it is looked at again.

const due = new WeakMap();

function look() {
  if (document.hidden) return;
  const now = Date.now();
  for (const part of document.querySelectorAll("[data-refresh]")) {
    const every = Number(part.dataset.refresh) * 1000;
    if (!due.has(part)) due.set(part, now + every);
    if (now < due.get(part)) continue;
    due.set(part, now + every);
    // Not while somebody is typing or has opened something in there.
    if (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) continue;
    if (part.querySelector("details[open]")) continue;
    window.htmx.trigger(part, "refresh");
  }
}

setInterval(look, 500);
document.addEventListener("visibilitychange", look);
