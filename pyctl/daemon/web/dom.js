// Elements, made of text: nothing that came from elsewhere is ever read as HTML.

export const byId = (id) => document.getElementById(id);

// An element with attributes (a function is a listener, null leaves it out) and children.
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Text that says how good something is: good, warn or bad.
export const mood = (how, text) => make("span", { class: "mood", "data-mood": how }, text);

export const empty = (text, name = "li") => make(name, { class: "empty" }, text);

// Put new children in, unless they are what is there: then whoever reads or points at them is not
// disturbed, and listeners stay, which therefore know nothing but what is to be seen. The focus
// stays on the element with the same data-key.
export function fill(element, ...children) {
  const fresh = make("div", {}, ...children);
  fresh.normalize();
  if (fresh.childNodes.length === element.childNodes.length) {
    const there = [...element.childNodes];
    if ([...fresh.childNodes].every((one, i) => one.isEqualNode(there[i]))) return;
  }
  const inside = element.contains(document.activeElement);
  const key = inside ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...fresh.childNodes);
  if (key) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}
