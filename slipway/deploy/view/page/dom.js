// Builds the page's elements. What hosts and visitors say becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element with these attributes and children, which are elements or texts. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same, for a part of a drawing. */
export function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/**
 * Let a list's children be those of `items`, built anew only where an item has changed. An open part stays open, and
 * the focus stays where it is: both have an id.
 */
export function update(list, items, key, build) {
  const old = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const children = items.map((item) => {
    const name = String(key(item));
    const text = JSON.stringify(item);
    const before = old.get(name);
    if (before && before.dataset.item === text) return before;
    const node = build(item);
    node.dataset.key = name;
    node.dataset.item = text;
    if (before) takeOver(before, node);
    return node;
  });
  replace(list, children);
}

function takeOver(before, node) {
  for (const open of before.querySelectorAll("details[open][id]")) {
    const same = node.querySelector(`#${CSS.escape(open.id)}`);
    if (same) same.open = true;
  }
}

/** Put these children in place of the present ones, and the focus back to the element with the same id. */
export function replace(parent, children) {
  if (children.length === parent.children.length && children.every((child, at) => parent.children[at] === child)) return;
  const focused = parent.contains(document.activeElement) ? document.activeElement.id : "";
  parent.replaceChildren(...children);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}
