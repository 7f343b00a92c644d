"use strict";
(() => {
  const table = document.getElementById("case-table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const headers = [...table.tHead.rows[0].cells];
  const search = document.getElementById("filter-text");
  const limit = document.getElementById("filter-limit");
  const status = document.getElementById("filter-status");
  const steps = { previous: document.getElementById("previous"), next: document.getElementById("next") };
  const words = new Intl.Collator(undefined, { numeric: true });

  const value = (row, column) => row.cells[column].dataset.value;
  const link = (row) => row.cells[0].firstElementChild;
  const shown = () => rows.filter((row) => !row.hidden);

  function sort(column, ascending) {
    const numeric = headers[column].firstElementChild.dataset.numeric === "1";
    rows.sort((one, other) => {
      const [first, second] = [value(one, column), value(other, column)];
      // What is not known comes last, whichever way the rest is sorted.
      if (first === "" || second === "") return (first === "") - (second === "");
      const order = numeric ? first - second : words.compare(first, second);
      return ascending ? order : -order;
    });
    body.append(...rows);
    headers.forEach((header) => header.removeAttribute("aria-sort"));
    headers[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
  }

  function withinLimit(row) {
    if (!limit || limit.value === "") return true;
    const found = value(row, limit.dataset.column);
    if (found === "") return false;
    return limit.dataset.direction === "most" ? found <= limit.valueAsNumber : found >= limit.valueAsNumber;
  }

  function filter() {
    const wanted = search.value.trim().toLowerCase();
    rows.forEach((row) => {
      row.hidden = !(row.textContent.toLowerCase().includes(wanted) && withinLimit(row));
    });
    const count = shown().length;
    status.value = count === rows.length ? `${count} cases` : `${count} of ${rows.length} cases`;
    update();
  }

  function current() {
    return shown().findIndex((row) => link(row).hash === location.hash);
  }

  function update() {
    const index = current();
    rows.forEach((row) => link(row).removeAttribute("aria-current"));
    if (index >= 0) link(shown()[index]).setAttribute("aria-current", "true");
    steps.previous.disabled = index < 1;
    steps.next.disabled = shown().length === 0 || index === shown().length - 1;
  }

  function step(by) {
    const next = shown()[current() + by];
    if (next) location.hash = link(next).hash;
  }

  headers.forEach((header, column) => {
    header.firstElementChild.addEventListener("click", () => {
      sort(column, header.getAttribute("aria-sort") !== "ascending");
      update();
    });
  });
  search.addEventListener("input", filter);
  if (limit) limit.addEventListener("input", filter);
  steps.previous.addEventListener("click", () => step(-1));
  steps.next.addEventListener("click", () => step(1));
  document.getElementById("viewer").addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "Escape") location.hash = "#viewer";
    else return;
    event.preventDefault();
  });
  document.querySelector(".gallery").addEventListener("click", (event) => {
    const figure = event.target.closest(".picture")?.closest(".case");
    if (figure) location.hash = figure.matches(":target") ? "#viewer" : `#${figure.id}`;
  });
  window.addEventListener("hashchange", () => {
    update();
    const figure = document.querySelector(".case:target");
    // The keyboard goes on from the case that is shown, unless it presses one of the buttons beside.
    if (figure && !document.activeElement.closest(".steps")) figure.focus({ preventScroll: true });
  });
  document.querySelectorAll(".needs-script").forEach((element) => {
    element.hidden = false;
  });
  filter();
})();
