// The list: one tick for the whole page, a range with Shift, and how many are chosen.
(() => {
  "use strict";
  const form = document.querySelector("[data-bulk]");
  if (!form) return;
  const all = form.querySelector("[data-all-rows] input");
  const count = form.querySelector("[data-count]");
  const nothing = count.textContent;
  let last = null;

  const rows = () => [...form.querySelectorAll('input[name="lead"]')];

  const show = () => {
    const chosen = rows().filter((row) => row.checked).length;
    all.checked = chosen > 0 && chosen === rows().length;
    all.indeterminate = chosen > 0 && !all.checked;
    count.textContent = chosen ? count.dataset.told.replace("{count}", chosen) : nothing;
  };

  form.addEventListener("click", (event) => {
    const row = event.target;
    if (row.name !== "lead") return;
    const each = rows();
    if (event.shiftKey && last && each.includes(last)) {
      const [from, to] = [each.indexOf(last), each.indexOf(row)].sort((a, b) => a - b);
      for (const one of each.slice(from, to + 1)) one.checked = row.checked;
    }
    last = row;
  });
  form.addEventListener("change", (event) => {
    if (event.target === all) for (const row of rows()) row.checked = all.checked;
    show();
  });

  all.closest("[data-all-rows]").hidden = false;
  form.querySelector(".leads__tick > .visually-hidden")?.remove();
  show();

  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll(".tool[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && event.target.closest?.(".tool[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
})();
