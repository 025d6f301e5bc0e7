// The request form, with script: a failure shows within ten seconds, what was typed stays, and
// a second try carries the same token, so it can never become a second request. Nothing that is
// typed is stored in the browser.
(() => {
  "use strict";
  const PATIENCE_MS = 10000;
  const SOON_MS = 400;
  let sending = false;

  const focusSummary = () => document.getElementById("error-summary")?.focus();

  const guessTimeZone = () => {
    const select = document.querySelector("[data-time-zone]");
    if (!select || select.value) return;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if ([...select.options].some((option) => option.value === zone)) select.value = zone;
  };

  const tell = (form, name) => {
    form.querySelector(".trouble")?.remove();
    const words = document.getElementById(name);
    if (!words) return null;
    form.append(words.content.cloneNode(true));
    const told = form.querySelector(".trouble");
    told.focus();
    return told;
  };

  const trouble = (form) => tell(form, "retry");

  // Counted as the service counts: characters, not the halves in which script keeps some.
  const charactersOf = (text) => [...text.trim()].length;

  // True where the service would not read it all: it is told here, and nothing leaves the form.
  const isTooLong = (form, body) => {
    const message = form.elements.message;
    const length = charactersOf(message.value);
    const bytes = body.toString().length;
    if (length <= message.dataset.max && bytes <= form.dataset.maxBytes) return false;
    // Written as the limit beside it is.
    tell(form, "too-long").querySelector("[data-length]").textContent = String(length);
    return true;
  };

  const show = (html) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const main = page.querySelector("main");
    // A page without the form, whoever's it is, would take what was typed with it.
    if (!main?.querySelector("[data-request]")) return false;
    document.title = page.title;
    document.querySelector("main").replaceWith(main);
    guessTimeZone();
    focusSummary();
    return true;
  };

  const send = async (form, body) => {
    const stop = new AbortController();
    const patience = setTimeout(() => stop.abort(), PATIENCE_MS);
    const response = await fetch(form.action, {
      method: "POST",
      body,
      signal: stop.signal,
      headers: { Accept: "text/html" },
    });
    const html = await response.text();
    clearTimeout(patience);
    // Who is sent on was received, even where the page there fails just now.
    if (response.redirected) {
      location.assign(response.url);
      return true;
    }
    return show(html);
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("[data-request]")) return;
    event.preventDefault();
    if (sending) return;
    // Before the trouble goes: its button may be the one that was pressed.
    const body = new URLSearchParams(new FormData(form, event.submitter));
    form.querySelector(".trouble")?.remove();
    if (isTooLong(form, body)) return;
    sending = true;
    const button = form.querySelector(".send button");
    const progress = form.querySelector("[data-progress]");
    button.setAttribute("aria-disabled", "true");
    const soon = setTimeout(() => { if (progress) progress.hidden = false; }, SOON_MS);
    try {
      if (!(await send(form, body))) trouble(form);
    } catch {
      trouble(form);
    } finally {
      clearTimeout(soon);
      if (progress) progress.hidden = true;
      button.removeAttribute("aria-disabled");
      sending = false;
    }
  });

  // What was typed, not what was agreed to: a consent is to the words that one has read.
  const carryOver = (form, other) => {
    for (const field of form.querySelectorAll("[id]:not(.consent [id])")) {
      const twin = other.querySelector(`#${field.id}`);
      if (!twin) continue;
      if (field.type === "checkbox") twin.checked = field.checked;
      else if (field.matches("input, select, textarea")) twin.value = field.value;
    }
    other.querySelector("details").open = form.querySelector("details").open;
  };

  const speak = async (form, address) => {
    const response = await fetch(address, { signal: AbortSignal.timeout(PATIENCE_MS) });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const other = page.querySelector("[data-request]");
    if (!response.ok || !other) throw new Error("no form");
    carryOver(form, other);
    document.documentElement.lang = page.documentElement.lang;
    document.title = page.title;
    document.body.replaceWith(page.body);
    history.replaceState(null, "", address);
    guessTimeZone();
    document.querySelector(".languages [aria-current]")?.focus();
  };

  document.addEventListener("click", async (event) => {
    const link = event.target.closest(".languages a");
    const form = document.querySelector("[data-request]");
    const goesElsewhere = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!link || !form || goesElsewhere) return;
    event.preventDefault();
    if (sending) return;
    try {
      await speak(form, link.href);
    } catch {
      trouble(form);
    }
  });

  guessTimeZone();
  focusSummary();
})();
