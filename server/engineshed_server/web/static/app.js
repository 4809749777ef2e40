// What pages do beyond their forms. Everything here is for comfort: without scripts the pages work as well.

import "./refresh.js";

// <button data-copy="#id" hidden>: copies the text of an element.
async function copy(button) {
  const source = document.querySelector(button.dataset.copy);
  await navigator.clipboard.writeText(source.textContent.trim());
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
}

// Where the browser lets no script copy (plain http), the buttons stay hidden.
function show(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
}

// <input data-from-fragment>: takes what stands behind the # of the address, and takes it out of there.
function takeFragment() {
  const field = document.querySelector("[data-from-fragment]");
  const found = decodeURIComponent(location.hash.slice(1));
  if (!field || !found) return;
  if (!field.value) field.value = found;
  history.replaceState(null, "", location.pathname + location.search);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});
document.addEventListener("htmx:afterSwap", (event) => show(event.target));
show(document);
takeFragment();
