// Makes and changes what is shown. Names that others gave come in as text and stay text: nothing here reads markup.

export const by = (id) => document.getElementById(id);

export function make(tag, classes = "", ...children) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

// Changes only what is otherwise, so that a second's refresh costs what changed.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function dress(node, classes) {
  if (node.className !== classes) node.className = classes;
}

export function hint(node, text) {
  if (node.title !== text) node.title = text;
}

export function note(node, text) {
  say(node, text);
  node.hidden = text === "";
}

export function gauge() {
  const fill = make("i");
  const figure = make("output");
  const node = make("span", "gauge", make("span", "track", fill), figure);
  return { node, fill, figure };
}

export function fillGauge({ node, fill, figure }, share, text, classes) {
  const width = `${Math.round(Math.min(Math.max(share ?? 0, 0), 1) * 100)}%`;
  if (fill.style.width !== width) fill.style.width = width;
  say(figure, text);
  dress(node, `gauge ${classes}`.trim());
}

// Keeps a list of cards: as many as there are values, each drawn anew only where its text is another.
export function cards(list, values, draw) {
  while (list.children.length > values.length) list.lastChild.remove();
  values.forEach((value, at) => {
    const key = JSON.stringify(value);
    const old = list.children[at];
    if (old?.dataset.key === key) return;
    const card = make("li", "", ...draw(value));
    card.dataset.key = key;
    if (old) old.replaceWith(card);
    else list.append(card);
  });
}
