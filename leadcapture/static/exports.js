// While a file is being written, the list is fetched anew every two seconds. Nothing moves under
// somebody's hands: while a form of the list has the focus or stands open, it waits. And a file
// that comes leaves the page as it is, so what was wrong before is taken away as the form is sent.
"use strict";

(() => {
  const EVERY = 2000;

  const isInUse = (list) =>
    list.contains(document.activeElement) || list.querySelector("details[open]") !== null;

  const look = async () => {
    const list = document.querySelector("[data-exports]");
    if (!list || !list.hasAttribute("data-at-work")) return;
    if (!document.hidden && !isInUse(list)) {
      try {
        const answer = await fetch(location.pathname, { redirect: "error" });
        if (answer.ok) {
          const page = new DOMParser().parseFromString(await answer.text(), "text/html");
          const fresh = page.querySelector("[data-exports]");
          if (fresh && !isInUse(list)) list.replaceWith(document.adoptNode(fresh));
        }
      } catch {
        // Out of reach or signed out: the link below the list still asks again.
      }
    }
    setTimeout(look, EVERY);
  };

  document.addEventListener("submit", () => {
    const notice = document.querySelector("[data-wrong]");
    if (!notice) return;
    document.title = notice.dataset.title;
    for (const old of [notice, ...document.querySelectorAll(".field__error")]) old.remove();
    for (const field of document.querySelectorAll("[aria-invalid]")) {
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
    }
  });

  setTimeout(look, EVERY);
})();
