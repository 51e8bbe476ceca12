// Elements made in one line. Text goes in as text, never as markup.

/**
 * `element("p", { class: "note", hidden: true }, "text", child)`; a property that is true is an
 * attribute without a value, one that is false, null or undefined is left out.
 */
export function element(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(name, value);
    }
  }
  made.append(...content);
  return made;
}

/** Set the text if it has changed: assistive software hears of changes only. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set an attribute if it has changed; null removes it. */
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}
