// What needs a script: keys, light and dark, and what comes by itself. Everything else is drawn by the server,
// also the lines that are put in here, so that there is one way only in which a text becomes a part of the page.

const about = document.body.dataset;
// By origin: the address may hold a password, with which nothing can be fetched.
const address = (path) => new URL(path, window.location.origin);
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

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

async function open(link) {
  const url = address(link.getAttribute("href"));
  url.searchParams.set("part", "whole");
  let answer;
  try {
    answer = await fetch(url);
  } catch {
    window.location.assign(link.href);
    return;
  }
  const body = document.createElement("div");
  body.innerHTML = await answer.text();
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
whole.addEventListener("click", (event) => {
  if (event.target === whole) whole.close();
});

// Keys.

const help = one("#help");
const keysButton = one("#keys");
keysButton.hidden = false;
keysButton.addEventListener("click", () => help.showModal());

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
  if (event.target.matches("input, select, textarea")) return;
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

// What comes by itself.

const MOST_LINES = 200;
const OVERVIEW_MS = 4000;
const HEALTH_MS = 5000;

const here = () => address(about.here ?? "/");

async function part(name, more = {}) {
  const url = here();
  url.searchParams.set("part", name);
  for (const [key, value] of Object.entries(more)) url.searchParams.set(key, value);
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`the server says ${answer.status}`);
  const made = document.createElement("template");
  made.innerHTML = await answer.text();
  return made.content;
}

// At most one at a time, and once more if it was asked for meanwhile.
function alone(work) {
  let isRunning = false;
  let isWanted = false;
  return async () => {
    isWanted = true;
    if (isRunning) return;
    isRunning = true;
    try {
      while (isWanted) {
        isWanted = false;
        await work();
      }
    } catch (error) {
      if (!(error instanceof TypeError)) console.warn(String(error)); // a server that is away comes again
    } finally {
      isRunning = false;
    }
  };
}

function put(rows, line) {
  if (one(`[data-sequence="${Number(line.dataset.sequence)}"]`, rows)) return;
  const at = Number(line.dataset.at);
  const next = all(":scope > li", rows).find((other) => Number(other.dataset.at) <= at);
  line.classList.add("fresh");
  rows.insertBefore(line, next ?? null);
}

function trim(rows) {
  const lines = all(":scope > li", rows);
  if (lines.length <= MOST_LINES) return;
  for (const line of lines.slice(MOST_LINES)) if (!line.contains(document.activeElement)) line.remove();
  const last = rows.lastElementChild.dataset;
  const url = here();
  url.searchParams.set("before", `${last.at}.${last.sequence}`);
  let older = one("#older");
  if (!older) {
    older = document.createElement("a");
    older.id = "older";
    older.textContent = "Older";
    one(".pages").append(older);
  }
  older.href = url.pathname + url.search;
}

const news = alone(async () => {
  const rows = one("#rows");
  const found = (await part("rows", { after: rows.dataset.high })).firstElementChild;
  if (found.dataset.whole === "yes") {
    one("#list").replaceChildren(await part("list"));
    return;
  }
  // The oldest first: each finds its place above it.
  for (const line of [...found.children].reverse()) put(rows, line);
  rows.dataset.high = found.dataset.high;
  trim(rows);
});

let overviewAt = 0;
let overviewTimer = 0;
const overview = alone(async () => {
  const found = await part("overview");
  overviewAt = Date.now();
  for (const region of found.children) {
    const old = document.getElementById(region.id);
    // What somebody is at stays as it is.
    if (!old.contains(document.activeElement)) old.replaceChildren(...region.childNodes);
  }
  if (one("#reading")) {
    one("#list").replaceChildren(await part("list"));
    overviewSoon();
  }
});

function overviewSoon() {
  if (overviewTimer || document.hidden) return;
  overviewTimer = setTimeout(() => {
    overviewTimer = 0;
    overview();
  }, Math.max(OVERVIEW_MS - (Date.now() - overviewAt), 100));
}

const health = alone(async () => {
  const found = await part("health");
  const slot = one("#health");
  if (slot.innerHTML.trim() !== [...found.childNodes].map((node) => node.outerHTML ?? node.data).join("").trim()
    && !slot.contains(document.activeElement)) slot.replaceChildren(found);
});

const sign = one("#live");

function say(words, isLost) {
  if (sign.textContent !== words) sign.textContent = words;
  sign.classList.toggle("lost", isLost);
}

// Each line of the stream says no more than that there is something: what it is, in the way in which this page
// shows it and as far as it belongs here, the server is asked for. What came while there was no connection is
// behind the last line that is here, so that nothing is missed.
let stream = null;

function listen() {
  if (document.hidden || (stream && stream.readyState !== EventSource.CLOSED)) return;
  const url = address("/api/events");
  url.searchParams.set("after", one("#rows").dataset.high);
  stream = new EventSource(url);
  stream.onopen = () => {
    say("live", false);
    news();
    overviewSoon();
    health();
  };
  stream.onmessage = () => {
    news();
    overviewSoon();
  };
  stream.onerror = () => {
    say("no connection; trying again", true);
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  };
}

if (about.page === "home" && about.live === "yes") {
  sign.hidden = false;
  say("connecting", false);
  listen();
  overviewAt = Date.now();
  if (one("#reading")) overviewSoon();
  document.addEventListener("visibilitychange", () => {
    // A browser has six connections to a host, for all of its windows: none is kept by one that nobody sees.
    if (document.hidden) stream?.close();
    else listen();
  });
}
if (about.page !== "message") {
  setInterval(() => {
    if (!document.hidden) health();
  }, HEALTH_MS);
}
