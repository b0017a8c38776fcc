// What needs a script: keys, light and dark, and (live.js) what comes by itself. Everything else is drawn by the
// server, also the lines that are put in, so that there is one way only in which a text becomes a part of the page.

import "./live.js";
import { about, address, all, one } from "./shared.js";

// Light and dark.

const themeButton = one("#theme");
const system = window.matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";

function showTheme() {
  themeButton.setAttribute("aria-label", isDark() ? "Make it light" : "Make it dark");
}

themeButton.hidden = false;
themeButton.addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=strict`;
  showTheme();
});
system.addEventListener("change", showTheme);
showTheme();

// A generation over the list, which stays where it is.

const whole = one("#whole");
// Of those that were asked for only the last one counts, however long each takes.
let asked = 0;

async function open(link) {
  const url = address(link.getAttribute("href"));
  url.searchParams.set("part", "whole");
  asked += 1;
  const number = asked;
  let text = null;
  try {
    const answer = await fetch(url);
    if (answer.ok) text = await answer.text();
  } catch {
    // As where there is no such generation: whatever there is to be said is said by a page of its own.
  }
  if (number !== asked) return;
  if (text === null) {
    window.location.assign(link.href);
    return;
  }
  const body = document.createElement("div");
  body.innerHTML = text;
  whole.replaceChildren(body);
  const back = one("#back", body);
  if (back) back.textContent = "Close";
  if (!whole.open) whole.showModal();
  whole.scrollTop = 0;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (whole.open && whole.contains(link)) {
    if (link.id === "back") {
      event.preventDefault();
      whole.close();
    } else if (link.pathname.startsWith("/generations/")) {
      event.preventDefault();
      open(link);
    }
  } else if (link.closest("#rows")) {
    event.preventDefault();
    open(link);
  }
});
whole.addEventListener("close", () => {
  asked += 1; // what is still on its way came too late
});
whole.addEventListener("click", (event) => {
  if (event.target === whole) whole.close();
});

// Keys.

const help = one("#help");
const keysButton = one("#keys");
keysButton.hidden = false;
keysButton.addEventListener("click", () => help.showModal());

// Somebody who speaks to the machine, or whose hand slips, presses letters that are not meant.
const letters = one("#letters");
try {
  letters.checked = localStorage.getItem("letters") !== "no";
} catch {
  // A browser that keeps nothing.
}
letters.addEventListener("change", () => {
  try {
    localStorage.setItem("letters", letters.checked ? "yes" : "no");
  } catch {
    // As above: for as long as the page is open.
  }
});

function step(by) {
  if (whole.open) {
    one(by > 0 ? "#older-one" : "#newer-one", whole)?.click();
    return;
  }
  if (about.page === "generation") {
    one(by > 0 ? "#older-one" : "#newer-one")?.click();
    return;
  }
  const links = all("#rows > li > a");
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? 0 : at + by;
  if (next >= links.length) one("#older")?.focus();
  else links[Math.max(next, 0)]?.focus();
}

function leave() {
  // A dialog closes by itself.
  if (help.open || whole.open) return;
  const search = one("#q");
  if (document.activeElement === search) search.blur();
  else if (about.page !== "home") one("#back")?.click();
  else one("#everything")?.click();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape") {
    leave();
    return;
  }
  if (!letters.checked || event.target.matches("input:not([type=checkbox]), select, textarea")) return;
  const does = {
    j: () => step(1),
    k: () => step(-1),
    "/": () => {
      const search = one("#q");
      if (search) search.select();
      else window.location.assign("/");
    },
    "?": () => (help.open ? help.close() : help.showModal()),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});
