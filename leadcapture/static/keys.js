// The desk by single letters. They press what stands on the page (data-shortcut) and go where its
// links go (data-go); no field may have the focus, and no other key may be held.
(() => {
  "use strict";
  const PREFIX_MS = 1500;
  const TAKES_LETTERS =
    "input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, [contenteditable]";
  const sheetLink = document.querySelector("[data-keys-sheet]");
  if (!sheetLink) return;
  let prefix = "";
  let forget = 0;

  const rows = () =>
    [...document.querySelectorAll("main [data-open]")].filter((link) => link.checkVisibility());

  const press = (letter) => {
    const row = document.activeElement.closest("[data-row]");
    const found = [...document.querySelectorAll(`[data-shortcut="${CSS.escape(letter)}"]`)];
    // In a list the letter is for the row with the focus; elsewhere there is one such button.
    const button =
      found.find((one) => row?.contains(one)) ??
      found.find((one) => !one.closest("[data-row]") && one.checkVisibility());
    if (!button) return false;
    if (button.matches("textarea, select, input")) button.focus();
    else button.click();
    return true;
  };

  const step = (by) => {
    const links = rows();
    if (!links.length) return false;
    const row = document.activeElement.closest("[data-row]");
    const here = links.findIndex((link) => row?.contains(link));
    const to = here < 0 ? (by > 0 ? 0 : links.length - 1) : here + by;
    const link = links[Math.min(Math.max(to, 0), links.length - 1)];
    link.focus({ preventScroll: true });
    link.closest("[data-row]").scrollIntoView({ block: "nearest" });
    return true;
  };

  const go = (letter) => {
    const link = document.querySelector(`[data-go="${CSS.escape(letter)}"]`);
    link?.click();
    return Boolean(link);
  };

  const search = () => {
    const field = document.querySelector("input[type=search]");
    if (field) field.select();
    else location.assign(`${document.querySelector('[data-go="l"]').href}#q`);
    return true;
  };

  const openSheet = async () => {
    let dialog = document.getElementById("keys-dialog");
    if (!dialog) {
      const response = await fetch(sheetLink.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const sheet = page.querySelector("[data-keys]");
      if (!sheet) return location.assign(sheetLink.href);
      dialog = document.getElementById("keys-frame").content.cloneNode(true).firstElementChild;
      dialog.querySelector("[data-sheet]").replaceWith(document.importNode(sheet, true));
      document.body.append(dialog);
    }
    dialog.showModal();
  };

  const act = (letter) => {
    if (prefix === "g") return go(letter);
    switch (letter) {
      case "j": return step(1);
      case "k": return step(-1);
      case "/": return search();
      case "?": openSheet().catch(() => location.assign(sheetLink.href)); return true;
      case "g": return true;
      default: return press(letter);
    }
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    if (event.repeat && !"jk".includes(event.key)) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.key.length !== 1) return;
    if (event.target.closest(TAKES_LETTERS) || document.querySelector("dialog[open]")) return;
    const isTaken = event.key !== " " && act(event.key);
    clearTimeout(forget);
    prefix = event.key === "g" && prefix !== "g" ? "g" : "";
    forget = setTimeout(() => { prefix = ""; }, PREFIX_MS);
    if (isTaken) event.preventDefault();
  });

  if (location.hash === "#q") document.querySelector("input[type=search]")?.select();
})();
