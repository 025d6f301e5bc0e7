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

  const trouble = (form) => {
    document.getElementById("trouble")?.remove();
    const words = document.getElementById("retry");
    if (!words) return;
    form.append(words.content.cloneNode(true));
    document.getElementById("trouble")?.focus();
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

  const send = async (form, fields) => {
    const stop = new AbortController();
    const patience = setTimeout(() => stop.abort(), PATIENCE_MS);
    const response = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(fields),
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
    sending = true;
    // Before the trouble goes: its button may be the one that was pressed.
    const fields = new FormData(form, event.submitter);
    document.getElementById("trouble")?.remove();
    const button = form.querySelector(".send button");
    const progress = form.querySelector("[data-progress]");
    button.setAttribute("aria-disabled", "true");
    const soon = setTimeout(() => { if (progress) progress.hidden = false; }, SOON_MS);
    try {
      if (!(await send(form, fields))) trouble(form);
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
