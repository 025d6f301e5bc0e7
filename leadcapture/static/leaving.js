// Whoever leaves a page on which something is written and not sent is asked by the browser first.
(() => {
  "use strict";
  const KINDS = ["textarea", "text", "email", "tel", "url", "number", "date", "time", "datetime-local"];
  const main = document.getElementById("main");
  if (!main) return;
  let sent = null;

  // What came back with a problem is what the page itself put there, and yet not taken. Who signs
  // in has written nothing that would be missed.
  const cameBack = (form) =>
    form.querySelector("[aria-invalid=true]") && !form.querySelector("[type=password]");

  const isUnsent = (field) =>
    KINDS.includes(field.type) &&
    field.form?.getAttribute("method") === "post" &&
    field.form !== sent &&
    (field.value !== field.defaultValue || (field.value.trim() && cameBack(field.form)));

  // On the window, where it is known whether a script of ours sends the form instead.
  addEventListener("submit", (event) => {
    if (!event.defaultPrevented) sent = event.target;
  });
  // What is sent may be answered by a file: then the page stays, and what is written on it counts.
  addEventListener("input", () => { sent = null; });
  addEventListener("beforeunload", (event) => {
    if ([...main.querySelectorAll("textarea, input")].some(isUnsent)) event.preventDefault();
  });
})();
