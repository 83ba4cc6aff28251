"use strict";
// Headers of sortable tables become buttons: up, down, then the order in which they were written.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const written = [...body.rows];
  const headers = [...table.tHead.rows[0].cells];

  // Numbers come first, then texts; blank cells come last in both directions.
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if ("blank" in cell.dataset) return { rank: 2 };
    if ("value" in cell.dataset) return { rank: 0, value: Number(cell.dataset.value) };
    return { rank: 1, value: cell.textContent.trim() };
  };
  const compare = (a, b, sign) => {
    if (a.rank !== b.rank) return a.rank - b.rank;
    if (a.rank === 2) return 0;
    if (a.rank === 0) return sign * (a.value - b.value);
    return sign * a.value.localeCompare(b.value, undefined, { numeric: true });
  };
  const sort = (column) => {
    const before = headers[column].getAttribute("aria-sort");
    const after = { ascending: "descending", descending: "none" }[before] || "ascending";
    headers.forEach((header) => header.setAttribute("aria-sort", "none"));
    headers[column].setAttribute("aria-sort", after);
    const sign = { ascending: 1, descending: -1, none: 0 }[after];
    const rows = written.map((row) => ({ row, key: keyOf(row, column) }));
    if (sign) rows.sort((a, b) => compare(a.key, b.key, sign));
    body.append(...rows.map(({ row }) => row));
  };

  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sort(column));
  });
}
