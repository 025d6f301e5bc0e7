// Open pages of staff follow what others do: a look every second, and where something is new the
// page is fetched again and merged (merge.js). Nothing is stored in the browser.
(() => {
  "use strict";
  const LOOK_MS = 1000;
  const SLOWEST_MS = 15000;
  const PATIENCE_MS = 4000;
  const SAY_SO_MS = 5000;
  const BEAT_MS = 10000;
  const MINUTE_MS = 60000;
  const FRESH_MS = 6000;

  // A page that the browser had set aside is fetched anew: its reader may have signed out.
  addEventListener("pagehide", (event) => { document.body.hidden = event.persisted; });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // Escape puts an exact time away that covers something (WCAG 1.4.13), until it is come to again.
  addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    for (const time of document.querySelectorAll("time:is(:hover, :focus)")) {
      time.classList.add("is-quiet");
      const again = () => time.classList.remove("is-quiet");
      for (const end of ["pointerleave", "blur"]) time.addEventListener(end, again, { once: true });
    }
  });

  const main = document.querySelector("main[data-changes]");
  if (!main) return;
  const { changes, presence, clocks } = main.dataset;
  const told = document.getElementById("live-told");
  const words = told.dataset;
  const trouble = document.getElementById("live-trouble");
  const more = document.getElementById("live-more");
  const others = document.getElementById("others");
  let mark = main.dataset.mark;
  let wait = LOOK_MS;
  let next = 0;
  let complaint = 0;
  let fetchedAt = Date.now();
  let isBehind = false;
  // Something waits until nobody points at its list.
  let isHolding = false;
  let isLooking = false;
  let isOver = false;

  const say = (sentence) => {
    trouble.querySelector("span").textContent = sentence;
    trouble.hidden = false;
  };

  const end = (sentence, isSignedOut) => {
    isOver = true;
    // The warning of an idle session has said so already.
    if (isSignedOut && document.getElementById("idle")?.hidden === false) return;
    trouble.querySelector("a").hidden = !isSignedOut;
    say(sentence);
  };

  const ask = async (address, accept) => {
    const response = await fetch(address, {
      headers: { Accept: accept, "X-Live": "1" },
      redirect: "manual",
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (response.type === "opaqueredirect" || [401, 403].includes(response.status)) {
      end(words.signedOut, true);
    } else if (response.status === 404) {
      end(words.gone, false);
    } else if (!response.ok) {
      throw new Error(response.statusText);
    }
    return response;
  };

  const showOthers = (news) => {
    const page = new DOMParser().parseFromString(news.others, "text/html");
    others.dataset.there = news.there;
    others.replaceChildren(...page.body.childNodes);
  };

  const show = ({ fresh, heldBack }) => {
    for (const row of fresh) {
      row.classList.add("is-new");
      setTimeout(() => row.classList.remove("is-new"), FRESH_MS);
    }
    const names = fresh.slice(0, 3).map((row) => row.querySelector("[data-told]")?.textContent);
    if (fresh.length) told.textContent = `${words.fresh} ${names.filter(Boolean).join(", ")}`;
    const offer = heldBack ? words.more.replace("{count}", heldBack) : "";
    more.hidden = !heldBack;
    if (more.firstElementChild.textContent === offer) return;
    more.firstElementChild.textContent = offer;
    if (heldBack) told.textContent = offer;
  };

  // What was asked or refused stands until it is answered; see unsent.js.
  const isAsked = () => Boolean(main.querySelector("#problem"));

  const fetchAnew = async (force) => {
    const address = location.href;
    const response = await ask(address, "text/html");
    // Meanwhile an act may have been answered here: what was asked before it is older.
    if (isOver || isAsked() || location.href !== address) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const newer = page.querySelector("main[data-changes]");
    if (!newer) return;
    const merged = mergeTree(main, newer, force);
    fetchedAt = Date.now();
    isBehind = false;
    isHolding = !merged.isWhole;
    show(merged);
    if (force) merged.fresh[0]?.querySelector("a")?.focus();
  };

  const look = async () => {
    const there = others ? `&there=${others.dataset.there}` : "";
    const response = await ask(`${changes}?since=${mark}${there}`, "application/json");
    if (response.status === 200) {
      const news = await response.json();
      isBehind ||= Boolean(news.mark);
      mark = news.mark ?? mark;
      if (news.there) showOthers(news);
    }
    const isOld = clocks && Date.now() - fetchedAt > MINUTE_MS;
    const isFree = isHolding && !mergeTree.isInUse(main);
    if (!isOver && !isAsked() && (isBehind || isOld || isFree)) await fetchAnew(false);
  };

  const run = async () => {
    clearTimeout(next);
    if (document.hidden || isOver || isLooking) return;
    isLooking = true;
    try {
      await look();
      wait = LOOK_MS;
      clearTimeout(complaint);
      complaint = 0;
      if (!isOver) trouble.hidden = true;
    } catch {
      wait = Math.min(wait * 2, SLOWEST_MS);
      const since = new Date().toLocaleTimeString(document.documentElement.lang, {
        hour: "2-digit",
        minute: "2-digit",
        hourCycle: "h23",
      });
      complaint ||= setTimeout(() => say(words.notConnected.replace("{time}", since)), SAY_SO_MS);
    }
    isLooking = false;
    next = setTimeout(run, wait);
  };

  const beat = (hasLeft) => {
    if (!presence || isOver || (document.hidden && !hasLeft)) return;
    const fields = new URLSearchParams({ csrf_token: words.token });
    if (hasLeft) fields.set("left", "1");
    const options = { method: "POST", body: fields, redirect: "manual", keepalive: true };
    fetch(presence, { ...options, headers: { "X-Live": "1" } })
      .catch(() => {});
  };

  const runNow = () => {
    wait = LOOK_MS;
    run();
  };
  document.addEventListener("visibilitychange", () => {
    beat(document.hidden);
    runNow();
  });
  addEventListener("online", runNow);
  addEventListener("pagehide", () => beat(true));
  more.addEventListener("click", () => fetchAnew(true).catch(() => {}));
  setInterval(() => beat(false), BEAT_MS);
  beat(false);
  next = setTimeout(run, LOOK_MS);
})();
