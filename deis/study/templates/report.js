"use strict";
// Rows without a value stay last in both directions; equal rows keep their order.
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const sign = { ascending: 1, descending: -1 };
    const key = (row) => row.cells[column].dataset.key;
    const numeric = header.classList.contains("number");
    const compare = (a, b) => (numeric ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true }));
    header.querySelector("button").addEventListener("click", () => {
      const order = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", order);
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
        return sign[order] * compare(key(a), key(b));
      });
      table.tBodies[0].append(...rows);
    });
  });
}
