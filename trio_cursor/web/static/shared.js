// What each script of the page needs: to find an element, to ask the server, to put in what it says.

export const about = document.body.dataset;
// By origin: the address may hold a password, with which nothing can be fetched.
export const address = (path) => new URL(path, window.location.origin);
export const one = (selector, within = document) => within.querySelector(selector);
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// A service that hangs answers as little as one that is dead, and is not waited for until it lives again.
const PATIENCE_MS = 20000;

export const here = () => address(about.here ?? "/");

export async function part(name, more = {}, url = here()) {
  url.searchParams.set("part", name);
  for (const [key, value] of Object.entries(more)) url.searchParams.set(key, value);
  const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(`the server says ${answer.status}`);
  const made = document.createElement("template");
  made.innerHTML = await answer.text();
  return made.content;
}

// At most one at a time, and once more if it was asked for meanwhile.
export function alone(work, failed = () => {}) {
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
      failed();
    } finally {
      isRunning = false;
    }
  };
}

// Whoever is at a link of it is at the same link of what is new.
export function renew(region, nodes) {
  const at = region.contains(document.activeElement) ? document.activeElement : null;
  const is = (link) => (at.id ? link.id === at.id : link.getAttribute("href") === at.getAttribute("href"));
  region.replaceChildren(...nodes);
  if (at) all("a", region).find(is)?.focus({ preventScroll: true });
}
