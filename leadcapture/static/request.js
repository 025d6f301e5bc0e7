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

  guessTimeZone();
  focusSummary();
})();
