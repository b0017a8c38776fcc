// What comes by itself: lines of the list, what is around it, how the service is.

import { about, address, all, alone, here, one, part, renew } from "./shared.js";

const MOST_LINES = 200;
const FEWEST_LINES = 50;
const OVERVIEW_MS = 4000;
const HEALTH_MS = 5000;
const FAILED_MS = 2000;
// Where an answer lacks what the stream has told of; each time in a row twice as long, up to the last.
const BEHIND_MS = 500;
const FAR_BEHIND_MS = 8000;

function put(rows, line) {
  if (one(`[data-sequence="${Number(line.dataset.sequence)}"]`, rows)) return;
  const at = Number(line.dataset.at);
  const next = all(":scope > li", rows).find((other) => Number(other.dataset.at) <= at);
  // Below the last line are others that are not here: it is where "Older" leads to.
  if (!next && one("#older")) return;
  line.classList.add("fresh");
  rows.insertBefore(line, next ?? null);
}

function trim(rows) {
  const lines = all(":scope > li", rows);
  // Down to where somebody is, without a hole.
  const most = Math.max(MOST_LINES, lines.findIndex((line) => line.contains(document.activeElement)) + 1);
  if (lines.length <= most) return;
  for (const line of lines.slice(most)) line.remove();
  let older = one("#older");
  if (!older) {
    older = document.createElement("a");
    older.id = "older";
    older.textContent = "Older";
    one(".pages").append(older);
  }
  beginBehind(rows.lastElementChild, older);
}

function beginBehind(line, older) {
  const url = here();
  url.searchParams.set("before", `${line.dataset.at}.${line.dataset.sequence}`);
  older.href = url.pathname + url.search;
}

// The last one that the stream has told of.
let heard = 0;
let pause = BEHIND_MS;
let newsTimer = 0;

function newsSoon(wait) {
  clearTimeout(newsTimer);
  // Whoever does not look now is told of everything when he looks again.
  if (!document.hidden) newsTimer = setTimeout(news, wait);
}

function unlessBehind() {
  if (Number(one("#rows").dataset.high) >= heard) {
    pause = BEHIND_MS;
    return;
  }
  newsSoon(pause);
  pause = Math.min(2 * pause, FAR_BEHIND_MS);
}

async function renewList() {
  renew(one("#list"), (await part("list")).childNodes);
  unlessBehind(); // it may have been drawn before a line came that has just been here
}

// What the log has deleted goes from here as well; the rest stays where it is, for whoever is reading it.
async function dropDeleted() {
  const lines = all("#rows > li");
  if (!lines.length) return;
  const kept = new Set();
  const end = Number(lines.at(-1).dataset.at);
  for (let url = here(); url; ) {
    const found = await part("list", {}, url);
    const there = all("#rows > li", found);
    for (const line of there) kept.add(line.dataset.sequence);
    const older = one("#older", found);
    url = older && Number(there.at(-1).dataset.at) >= end ? address(older.getAttribute("href")) : null;
  }
  for (const line of lines) if (!kept.has(line.dataset.sequence)) line.remove();
  const older = one("#older");
  if (!older) return;
  // What comes is put in above the last line, and "Older" begins behind it.
  const left = all("#rows > li");
  if (left.length < FEWEST_LINES) await renewList();
  else beginBehind(left.at(-1), older);
}

// Of an index that was begun anew nobody knows yet what was deleted.
async function followDeletions(deleted) {
  if (deleted === "0" || deleted === one("#rows").dataset.deleted) return;
  await dropDeleted();
  one("#rows").dataset.deleted = deleted;
  overviewSoon();
}

const news = alone(async () => {
  const before = heard;
  const rows = one("#rows");
  const found = (await part("rows", { after: rows.dataset.high, of: rows.dataset.of })).firstElementChild;
  if (found.dataset.whole === "yes") {
    // Another log may never come to where this one was.
    if (heard === before) heard = 0;
    await renewList();
    overviewSoon();
    return;
  }
  if (rows.isConnected) {
    // The oldest first: each finds its place above it.
    for (const line of [...found.children].reverse()) put(rows, line);
    rows.dataset.high = found.dataset.high;
    trim(rows);
    await followDeletions(found.dataset.deleted);
  }
  unlessBehind();
}, () => newsSoon(FAILED_MS));

// What is shown of days is that of this day.
let day = one("[data-today]").dataset.today;
let isOtherDay = false;
let overviewAt = 0;
let overviewTimer = 0;
const overview = alone(async () => {
  overviewAt = Date.now();
  const found = await part("overview");
  // Once more when the log has been read: what was read last is not in the list yet.
  if (isOtherDay || one("#reading") || one("#reading", found)) await renewList();
  for (const region of found.children) {
    const old = document.getElementById(region.id);
    // What somebody is at stays as it is, for that day.
    if (isOtherDay || !old.contains(document.activeElement)) renew(old, region.childNodes);
  }
  isOtherDay = false;
  if (one("#reading")) overviewSoon();
}, overviewSoon);

function overviewSoon() {
  if (overviewTimer || document.hidden) return;
  overviewTimer = setTimeout(() => {
    overviewTimer = 0;
    overview();
  }, Math.max(OVERVIEW_MS - (Date.now() - overviewAt), 100));
}

// Where nothing new comes, nobody else tells what is there no longer. The service looks for it once a minute.
const saidOfLog = () => ({ ...one("#health [data-today]")?.dataset });
let known = saidOfLog();
const followLog = alone(async () => {
  const said = saidOfLog();
  if (!said.of || (said.of === known.of && said.deleted === known.deleted)) return;
  if (said.of === one("#rows").dataset.of) {
    await followDeletions(said.deleted);
  } else {
    await renewList();
    overviewSoon();
  }
  known = said;
});

function renewIfOther(slot, found) {
  const made = document.createElement("div");
  made.append(found);
  if (made.innerHTML.trim() !== slot.innerHTML.trim()) renew(slot, made.childNodes);
}

const health = alone(async () => {
  const found = await part("health", {}, address("/"));
  const today = one("[data-today]", found).dataset.today;
  renewIfOther(one("#health"), found);
  if (about.page === "watching") renewIfOther(one("#watched"), await part("whole", {}, address("/watching")));
  if (about.page === "home" && today !== day) {
    day = today;
    isOtherDay = true;
    overview();
  }
  if (about.page === "home") followLog();
}, () => {
  if (one("#health .lost")) return;
  const said = one("#no-answer").content.cloneNode(true);
  one("time", said).textContent = new Date().toTimeString().slice(0, 5);
  renew(one("#health"), [said]);
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
  url.searchParams.set("texts", "no");
  url.searchParams.set("after", one("#rows").dataset.high);
  stream = new EventSource(url);
  stream.onopen = () => {
    say("live", false);
    news();
    overviewSoon();
    health();
  };
  stream.onmessage = (event) => {
    heard = Number(event.lastEventId);
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
function look() {
  if (!document.hidden) health();
}

setInterval(look, HEALTH_MS);
document.addEventListener("visibilitychange", look);
