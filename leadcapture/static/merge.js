// mergeTree(from, to, force): makes a part of the page like a newer one, and changes nothing else.
// A form that somebody fills in stays as it is, with the version that it was made from; what is
// open stays open, what has the focus keeps it. Rows of a list ([data-rows], each row with its
// [data-row]) that somebody points at or stands in are neither moved nor joined by new ones,
// unless forced to. Answers the rows that came, how many were held back, and whether all was taken
// over. mergeTree.isInUse(tree): somebody points at a list in it, or stands in one.
globalThis.mergeTree = (() => {
  "use strict";
  const FIELDS = "input:not([type=hidden]), textarea, select";

  const isChanged = (field) => {
    if (field.type === "checkbox" || field.type === "radio") {
      return field.checked !== field.defaultChecked;
    }
    if (field.tagName !== "SELECT") return field.value !== field.defaultValue;
    const options = [...field.options];
    if (!options.some((option) => option.defaultSelected)) return field.selectedIndex > 0;
    return options.some((option) => option.selected !== option.defaultSelected);
  };

  const holdsWork = (element) => {
    const focused = document.activeElement;
    if (focused.matches(FIELDS) && element.contains(focused)) return true;
    const fields = [...element.querySelectorAll(FIELDS)];
    return (element.matches(FIELDS) ? [element, ...fields] : fields).some(isChanged);
  };

  const isInUse = (list) =>
    list.matches(":hover") || list.contains(document.activeElement) || holdsWork(list);

  const nameOf = (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE) return "";
    if (node.dataset.row) return `row ${node.dataset.row}`;
    if (node.id) return `id ${node.id}`;
    return node.matches("form") ? `form ${node.getAttribute("action")}` : "";
  };

  const rowsOf = (tree) =>
    new Map([...tree.querySelectorAll("[data-row]")].map((row) => [nameOf(row), row]));

  const move = (parent, node, before) => {
    // moveBefore keeps the focus in what it moves.
    if (parent.moveBefore) parent.moveBefore(node, before);
    else parent.insertBefore(node, before);
  };

  const takeAttributes = (from, to) => {
    // Whether a <details> is open is its reader's.
    const isOurs = (name) => name !== "open";
    for (const { name } of [...from.attributes]) {
      if (isOurs(name) && !to.hasAttribute(name)) from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) {
      if (isOurs(name) && from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
  };

  const merge = (from, to, force) => {
    let heldBack = 0;
    let isWhole = true;

    const become = (old, next) => {
      if (old.isEqualNode(next)) return;
      if (old.nodeType !== Node.ELEMENT_NODE) {
        old.data = next.data;
        return;
      }
      if (old.matches("[data-still]")) return;
      if (old.matches(`form, ${FIELDS}`) && holdsWork(old)) return;
      if (!force && old.matches("[data-rows]") && isInUse(old)) {
        takeRows(old, next);
        isWhole = false;
        return;
      }
      takeAttributes(old, next);
      takeChildren(old, next);
    };

    // What stands in both, each in its place; who left says so and stays.
    const takeRows = (list, next) => {
      const known = new Map(
        [...next.querySelectorAll("[id], [data-row]")].map((one) => [nameOf(one), one]),
      );
      for (const one of list.querySelectorAll("[id], [data-row]")) {
        const same = known.get(nameOf(one));
        if (same) become(one, same);
        else one.classList.toggle("is-gone", Boolean(one.dataset.row));
      }
      const here = rowsOf(list);
      heldBack += [...rowsOf(next).keys()].filter((name) => !here.has(name)).length;
    };

    const takeChildren = (old, next) => {
      const named = new Map();
      for (const node of old.childNodes) {
        const name = nameOf(node);
        if (name && !named.has(name)) named.set(name, node);
      }
      const stay = new Set();
      let at = old.firstChild;
      const find = (wanted) => {
        const name = nameOf(wanted);
        let node = name ? named.get(name) : at;
        while (!name && node && (nameOf(node) || node.nodeName !== wanted.nodeName)) {
          node = node.nextSibling;
        }
        return node && !stay.has(node) && node.nodeName === wanted.nodeName ? node : null;
      };
      for (const wanted of next.childNodes) {
        const same = find(wanted);
        if (!same) {
          stay.add(old.insertBefore(document.importNode(wanted, true), at));
          continue;
        }
        stay.add(same);
        if (same === at) at = at.nextSibling;
        else move(old, same, at);
        become(same, wanted);
      }
      for (const node of [...old.childNodes]) {
        const works = node.nodeType === Node.ELEMENT_NODE && holdsWork(node);
        if (!stay.has(node) && !works) node.remove();
      }
    };

    const before = rowsOf(from);
    takeChildren(from, to);
    const fresh = [...rowsOf(from)].filter(([name]) => !before.has(name)).map(([, row]) => row);
    return { fresh, heldBack, isWhole };
  };

  merge.isInUse = (tree) => [...tree.querySelectorAll("[data-rows]")].some(isInUse);
  return merge;
})();
