// While a call is taken down: as soon as a telephone is typed, whose it is stands beside the form.
// Nothing is stored in the browser, and no telephone stands in an address.
(() => {
  "use strict";
  const PATIENCE_MS = 4000;
  const people = document.getElementById("people");
  const form = document.getElementById("taken");
  const phone = document.getElementById("phone");
  let asked = phone.value;

  const ask = async () => {
    const typed = phone.value;
    // Who has been chosen stays chosen, whatever number they call from.
    if (typed === asked || form.elements.person?.value) return;
    asked = typed;
    const body = new URLSearchParams({ csrf_token: form.elements.csrf_token.value, phone: typed });
    const response = await fetch(people.dataset.ask, {
      method: "POST",
      body,
      headers: { Accept: "text/html", "X-Live": "1" },
      redirect: "manual",
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (!response.ok || phone.value !== typed) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    people.replaceChildren(...document.importNode(page.body, true).childNodes);
  };

  // The server asks once more when a button is pressed, so that a failure here loses nothing.
  phone.addEventListener("change", () => ask().catch(() => {}));
})();
