// A lead's page has several forms, and to send one would lose what is typed in another. Then it is
// sent behind the page, and the page that answers is merged into this one (merge.js), which leaves
// alone what somebody writes. Nothing is stored in the browser.
(() => {
  "use strict";
  const PATIENCE_MS = 20000;
  // What a page that nobody has written on holds empty.
  const WRITTEN = "textarea, input[type=datetime-local], input:not([type])";
  const lead = document.getElementById("lead");
  if (!lead) return;
  const main = document.getElementById("main");
  const flashes = document.querySelector(".flashes");
  const { ref, address, noAnswer, signedOut } = lead.dataset;
  let isSending = false;

  const written = (but) =>
    [...main.querySelectorAll(WRITTEN)].filter(({ form, value }) => form !== but && value.trim());

  const ask = async (address, options) => {
    const answer = await fetch(address, {
      headers: { Accept: "text/html" },
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...options,
    });
    return { answer, page: new DOMParser().parseFromString(await answer.text(), "text/html") };
  };

  const say = (sentence) => {
    const notice = document.createElement("p");
    notice.className = "notice notice--failed";
    notice.textContent = sentence;
    flashes.replaceChildren(notice);
    scrollTo(0, 0);
  };

  const clear = (form) => {
    // What came back with a problem is what the page itself put there.
    for (const field of form.querySelectorAll(WRITTEN)) field.defaultValue = "";
    form.reset();
  };

  const show = (page) => {
    const kept = written(null);
    for (const field of kept) {
      // To merge.js it must count as written, also where it had come back with a problem.
      const { value } = field;
      field.defaultValue = "";
      field.value = value;
    }
    // Of the others the page is right: what was chosen there is done, or was not meant yet.
    const forms = new Set(kept.map(({ form }) => form));
    for (const form of main.querySelectorAll("form")) if (!forms.has(form)) form.reset();
    const focused = document.activeElement;
    if (!forms.has(focused.form)) focused.blur();
    mergeTree(main, page.getElementById("main"), true);
    document.title = page.title;
    if (focused.isConnected) focused.focus({ preventScroll: true });
    scrollTo(0, 0);
    document.getElementById("problem")?.focus();
  };

  // A page that asks before it saves, or says why it does not, stands above the lead until answered.
  const put = (page) => {
    const question = document.createElement("div");
    question.id = "problem";
    question.append(...page.getElementById("main").childNodes);
    document.getElementById("problem")?.remove();
    main.prepend(question);
    scrollTo(0, 0);
    question.querySelector("[tabindex]")?.focus();
  };

  const refresh = async () => {
    // A page that came with a problem stands at the address of its form, where nothing is to be read.
    if (location.pathname !== address) history.replaceState(null, "", address);
    const { answer, page } = await ask(location.href, {
      headers: { Accept: "text/html", "X-Live": "1" },
    });
    if (answer.ok) show(page);
    else put(page);
  };

  const take = async ({ answer, page }, form) => {
    if (new URL(answer.url).pathname === "/sign-in") return say(signedOut);
    flashes.replaceChildren(...page.querySelector(".flashes").childNodes);
    const isThisLead = page.getElementById("lead")?.dataset.ref === ref;
    if (!isThisLead && !answer.ok) return put(page);
    clear(form);
    if (!isThisLead) return refresh();
    if (answer.redirected) history.replaceState(null, "", answer.url);
    return show(page);
  };

  const send = async (form, submitter) => {
    const fields = new URLSearchParams(new FormData(form));
    if (submitter?.name) fields.append(submitter.name, submitter.value);
    isSending = true;
    try {
      await take(await ask(form.getAttribute("action"), { method: "POST", body: fields }), form);
    } catch {
      say(noAnswer);
    }
    isSending = false;
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.getAttribute("method") !== "post") return;
    if (!main.contains(form) && !flashes.contains(form)) return;
    if (isSending) event.preventDefault();
    if (isSending || !written(form).length) return;
    event.preventDefault();
    send(form, event.submitter);
  });

  // Whoever drops what the question is about stays on the lead that stands below it.
  main.addEventListener("click", (event) => {
    const link = event.target.closest("#problem a");
    if (!link || link.hash || link.pathname !== address || !written(null).length) return;
    event.preventDefault();
    refresh().catch(() => say(noAnswer));
  });
})();
