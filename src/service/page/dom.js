// Elements and numbers. Text is only ever set as text: what a service or a file says never becomes markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((c) => c !== undefined && c !== null));
  return element;
}

/** An element with attributes, listeners (functions) and children. */
export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same in a drawing. */
export function s(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

export const id = (name) => document.getElementById(name);

/** A number for people: whole ones in groups of three digits, others with four significant ones. */
export function number(v) {
  if (typeof v !== "number" || !Number.isFinite(v)) return "–";
  if (Number.isInteger(v)) return v.toLocaleString("en");
  const size = Math.abs(v);
  return size < 1e-3 || size >= 1e7
    ? v.toExponential(2)
    : Number(v.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 });
}

export const percent = (part, whole) => (whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : "–");

/** Text for those who hear the page. */
export const unseen = (text) => h("span", { class: "unseen" }, text);

/** A table in a region that scrolls by itself; `rows`: lists of cells, the first of each its head. */
export function table(caption, columns, rows) {
  const head = h(
    "tr",
    {},
    columns.map((c) => h("th", { scope: "col" }, c)),
  );
  const row = (cells) =>
    h(
      "tr",
      {},
      cells.map((c, n) => (n === 0 ? h("th", { scope: "row" }, c) : h("td", {}, c))),
    );
  const made = h("table", {}, h("caption", {}, caption), h("thead", {}, head), h("tbody", {}, rows.map(row)));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, made);
}
