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

// A form marked data-progress shows how much of its file has been sent.
function showProgress() {
  for (const form of document.querySelectorAll("form[data-progress]")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) return;
      event.preventDefault();
      send(form);
    });
  }
}

function send(form) {
  const bar = document.createElement("progress");
  const said = document.createElement("p");
  said.className = "hint";
  said.setAttribute("role", "status");
  form.append(bar, said);
  const request = new XMLHttpRequest();
  request.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) return;
    bar.max = event.total;
    bar.value = event.loaded;
    const done = event.loaded === event.total;
    said.textContent = done ? "Sent. It is being checked." : `${Math.floor((100 * event.loaded) / event.total)} % sent`;
  });
  request.addEventListener("load", () => {
    // The answer is a page: the list, or the form with what is wrong.
    const fresh = new DOMParser().parseFromString(request.responseText, "text/html");
    const main = fresh.getElementById("main");
    if (!main) return location.reload();
    document.getElementById("main").replaceWith(main);
    if (request.responseURL !== new URL(form.action).href) history.replaceState(null, "", request.responseURL);
    document.getElementById("problems")?.focus();
    showProgress();
  });
  request.addEventListener("error", () => {
    bar.remove();
    said.textContent = "The connection broke. Try again.";
    delete form.dataset.sent;
  });
  request.open("POST", form.action);
  request.send(new FormData(form));
}

document.getElementById("problems")?.focus();
watch();
offerCopies(document);
showProgress();
sendOnce();
