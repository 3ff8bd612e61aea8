// What pages do beyond plain HTML. Everything works without it.
"use strict";

const LIVE_PERIOD = 5000; // milliseconds between two looks

// What the server last said of each live region; the page itself may have got buttons since.
const said = new Map();

// Regions marked data-live show what the same address answers now. Somebody who is at work in one is not disturbed.
async function refresh() {
  const regions = document.querySelectorAll("[data-live][id]");
  if (!regions.length || document.hidden) return;
  let answer;
  try {
    answer = await fetch(location.href, { headers: { "X-OPX-Live": "1" }, redirect: "manual" });
  } catch {
    document.body.classList.add("cut-off");
    return;
  }
  document.body.classList.toggle("cut-off", !answer.ok);
  if (answer.status === 401) location.reload();
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const region of regions) {
    const other = fresh.getElementById(region.id);
    if (!other || said.get(region.id) === other.innerHTML || isBusy(region)) continue;
    said.set(region.id, other.innerHTML);
    region.replaceChildren(...other.childNodes);
    offerCopies(region);
  }
}

function isBusy(region) {
  const selected = String(getSelection()) !== "";
  const opened = region.querySelector("details[open], input:checked") !== null;
  return selected || region.contains(document.activeElement) || opened;
}

function watch() {
  const regions = document.querySelectorAll("[data-live][id]");
  if (!regions.length) return;
  for (const region of regions) said.set(region.id, region.innerHTML);
  setInterval(refresh, LIVE_PERIOD);
  document.addEventListener("visibilitychange", refresh);
}

// Code marked data-copy gets a button beside it.
function offerCopies(within) {
  if (!navigator.clipboard) return;
  for (const code of within.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    });
    code.after(button);
  }
}

// A form is sent once, however often its button is pressed.
function sendOnce() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) event.preventDefault();
    else if (form.method === "post") form.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => document.querySelectorAll("form").forEach((form) => delete form.dataset.sent));
}

document.getElementById("problems")?.focus();
watch();
offerCopies(document);
sendOnce();
