// The board: cards dragged with a pointer, walked with arrow keys. Every move presses the button of
// the card's own form, so that what the server allows and says is the same without this script.
(() => {
  "use strict";
  const board = document.querySelector("[data-board]");
  if (!board) return;
  const told = document.getElementById("board-told");
  const note = document.getElementById("board-note");
  const SAY_MS = 6000;
  let dragged = null;
  let quiet = 0;

  const columns = () => [...board.querySelectorAll("[data-status]")];
  const cardsOf = (column) => [...column.querySelectorAll("[data-row]")];
  const linkOf = (card) => card?.querySelector("[data-open]");
  const columnOf = (card) => card.closest("[data-status]");
  const buttonsOf = (menu) => [...menu.querySelectorAll("button")];
  const allows = (card, column) =>
    columnOf(card).dataset.moves.split(" ").includes(column.dataset.status);

  const say = (sentence) => {
    told.textContent = sentence;
    note.textContent = sentence;
    note.hidden = false;
    clearTimeout(quiet);
    quiet = setTimeout(() => { note.hidden = true; }, SAY_MS);
  };

  const fill = (sentence, card, column) =>
    sentence
      .replace("{name}", linkOf(card).textContent)
      .replace("{there}", column.dataset.name)
      .replace("{here}", columnOf(card).dataset.name);

  const openMenu = (card, first) => {
    const menu = card.querySelector("details");
    menu.open = true;
    (menu.querySelector(first) ?? buttonsOf(menu)[0])?.focus();
  };

  const move = (card, column) => {
    if (columnOf(card) === column) return;
    if (!allows(card, column)) {
      say(fill(told.dataset.refused, card, column));
      linkOf(card).focus();
      return;
    }
    const button = card.querySelector(`button[value="${CSS.escape(column.dataset.status)}"]`);
    if (button) {
      card.classList.add("is-moving");
      button.form.requestSubmit(button);
      return;
    }
    // Only a closing asks for more: the reasons stand in the card's menu.
    openMenu(card, `button[value^="${CSS.escape(column.dataset.status)}:"]`);
    say(fill(told.dataset.reason, card, column));
  };

  const mark = (card) => {
    for (const column of columns()) {
      const isOther = card && column !== columnOf(card);
      column.classList.toggle("takes", Boolean(isOther && allows(card, column)));
      column.classList.toggle("takes-not", Boolean(isOther && !allows(card, column)));
      column.classList.remove("is-over");
    }
  };

  for (const card of board.querySelectorAll("[data-row]")) card.draggable = true;
  new MutationObserver(() => {
    for (const card of board.querySelectorAll("[data-row]:not([draggable])")) card.draggable = true;
  }).observe(board, { childList: true, subtree: true });

  board.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.("[data-row]");
    if (!dragged) return;
    // No name leaves the page with a card that is dropped elsewhere.
    event.dataTransfer.setData("text/plain", "");
    event.dataTransfer.effectAllowed = "move";
    mark(dragged);
  });
  board.addEventListener("dragover", (event) => {
    const column = event.target.closest("[data-status]");
    if (!dragged || !column) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "move";
    for (const one of columns()) one.classList.toggle("is-over", one === column);
  });
  board.addEventListener("drop", (event) => {
    const column = event.target.closest("[data-status]");
    const card = dragged;
    if (!card || !column) return;
    event.preventDefault();
    dragged = null;
    mark(null);
    move(card, column);
  });
  board.addEventListener("dragend", () => {
    dragged = null;
    mark(null);
  });

  const go = (card) => {
    if (!card) return;
    linkOf(card).focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  };

  const walk = (key, card) => {
    const all = columns().filter((column) => cardsOf(column).length);
    const column = columnOf(card);
    const cards = cardsOf(column);
    const at = cards.indexOf(card);
    const beside = all[all.indexOf(column) + (key === "ArrowRight" ? 1 : -1)];
    switch (key) {
      case "ArrowDown": return cards[at + 1];
      case "ArrowUp": return cards[at - 1];
      case "Home": return cards[0];
      case "End": return cards.at(-1);
      default: {
        const others = beside ? cardsOf(beside) : [];
        return others[Math.min(at, others.length - 1)];
      }
    }
  };

  const walkMenu = (event, menu) => {
    const buttons = buttonsOf(menu);
    const at = buttons.indexOf(document.activeElement);
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      menu.open = false;
      linkOf(menu.closest("[data-row]")).focus();
    } else if (by) {
      buttons[at < 0 ? 0 : (at + by + buttons.length) % buttons.length].focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  board.addEventListener("keydown", (event) => {
    const card = event.target.closest("[data-row]");
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    const menu = card.querySelector("details[open]");
    if (menu) {
      walkMenu(event, menu);
      return;
    }
    if (!/^(Arrow(Up|Down|Left|Right)|Home|End)$/.test(event.key)) return;
    event.preventDefault();
    go(walk(event.key, card));
  });

  // One menu at a time; an opened one has the focus on its first way.
  board.addEventListener("toggle", (event) => {
    if (!event.target.open) return;
    for (const other of board.querySelectorAll("details[open]")) {
      if (other !== event.target) other.open = false;
    }
    const card = event.target.closest("[data-row]");
    const focused = document.activeElement;
    if (card.contains(focused) && focused.tagName !== "BUTTON") buttonsOf(event.target)[0]?.focus();
  }, true);
  document.addEventListener("click", (event) => {
    for (const menu of board.querySelectorAll("details[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  // After the load, because the browser takes the focus away when it scrolls to what was moved.
  addEventListener("load", () => {
    if (location.hash.startsWith("#lead-")) go(document.getElementById(location.hash.slice(1)));
  });
})();
