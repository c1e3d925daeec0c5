/** Rows on a page of the table; the others do not cost anything. */
const ROWS = 50;

const natural = new Intl.Collator("en", { numeric: true });

/** Turns the text of a figure into a number for sorting; NaN stands for a missing figure. */
function numberOf(cell) {
  if (cell === "exact") return Infinity;
  const number = parseFloat(cell.replace(/[<,]/g, ""));
  return cell.startsWith("<") ? number / 2 : number;
}

/** Returns row numbers in the order of a column; missing figures come last in both directions. */
function sorted(rows, cells, isText, direction) {
  if (isText) return rows.sort((one, other) => direction * natural.compare(cells[one], cells[other]) || one - other);
  const keys = cells.map(numberOf);
  const order = (one, other) => (keys[one] === keys[other] ? 0 : direction * (keys[one] - keys[other]));
  return rows.sort((one, other) => {
    const missing = Number.isNaN(keys[one]) - Number.isNaN(keys[other]);
    return missing || (Number.isNaN(keys[one]) ? 0 : order(one, other)) || one - other;
  });
}

/** Fills `container` with a table of all tensors that can be searched, sorted and paged through. */
function showTensors(container, report) {
  const { header, cells, text_columns: texts } = report;
  const count = report.types.length;
  let lines = null; // what is searched, made when it is first needed
  let by = { column: null, direction: 1 };
  let rows = [];
  let page = 0;

  const search = element("input", { type: "search", placeholder: "Search names, types, reasons ..." });
  search.setAttribute("aria-label", "Search the tensors");
  const status = element("span");
  status.setAttribute("role", "status");
  const back = element("button", { type: "button", textContent: "Back" });
  const next = element("button", { type: "button", textContent: "Next" });
  const body = element("tbody");
  const heads = header.map((title, column) => {
    const button = element("button", { type: "button", textContent: title });
    button.addEventListener("click", () => sortBy(column));
    return element("th", { scope: "col", className: column < texts ? "" : "n" }, button);
  });
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body);
  const controls = element("div", { className: "controls" }, search, back, next, status);
  container.classList.add("filled");
  container.replaceChildren(controls, element("div", { className: "scroll" }, table));

  function select() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = Array.from({ length: count }, (_, row) => row);
    if (words.length) {
      lines ??= all.map((row) => cells.slice(0, texts).map((column) => column[row]).join("\n").toLowerCase());
      rows = all.filter((row) => words.every((word) => lines[row].includes(word)));
    } else {
      rows = all;
    }
    if (by.column !== null) sorted(rows, cells[by.column], by.column < texts, by.direction);
    page = 0;
    show();
  }

  function show() {
    const first = page * ROWS;
    const shown = rows.slice(first, first + ROWS);
    body.replaceChildren(
      ...shown.map((row) =>
        element("tr", {}, ...cells.map((column, index) =>
          element("td", { className: index < texts ? "" : "n", textContent: column[row] }))),
      ),
    );
    const number = (value) => value.toLocaleString("en");
    const found = rows.length === count ? "tensors" : `found of ${number(count)} tensors`;
    status.textContent = rows.length
      ? `${number(first + 1)} to ${number(first + shown.length)} of ${number(rows.length)} ${found}`
      : "No tensor matches.";
    back.disabled = page === 0;
    next.disabled = first + ROWS >= rows.length;
  }

  /** Sorts by a column: figures from the largest, texts from A; then the other way round; then in the file's order. */
  function sortBy(column) {
    const initial = column < texts ? 1 : -1;
    const again = by.column === column;
    if (again && by.direction !== initial) by = { column: null, direction: 1 };
    else by = { column, direction: again ? -initial : initial };
    heads.forEach((head, index) => {
      if (index === by.column) head.setAttribute("aria-sort", by.direction > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    select();
  }

  search.addEventListener("input", select);
  back.addEventListener("click", () => { page -= 1; show(); });
  next.addEventListener("click", () => { page += 1; show(); });
  select();
}
