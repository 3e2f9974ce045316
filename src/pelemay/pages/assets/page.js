// What every page does: colours, tables that sort, tips, moving between marks with the arrow keys.
// `pelemay` has what the scripts of single pages share.
"use strict";

const pelemay = (() => {
  const root = document.documentElement;

  /** The page's data of that name. */
  const data = (name) => JSON.parse(document.getElementById(`data-${name}`).textContent);

  /** A colour of the theme as it is now, such as "--blue". */
  const colour = (name) => {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    root.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };

  const threeDigits = (value) => {
    if (!value) return "0";
    const digits = 2 - Math.floor(Math.log10(Math.abs(Number(value.toPrecision(3)))));
    const places = Math.max(0, digits);
    return value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
  };
  const scaled = (value, units) => {
    const [size, unit] = units.find(([size]) => Math.abs(Number(value.toPrecision(3))) >= size) ?? units.at(-1);
    return `${threeDigits(value / size)} ${unit}`;
  };

  /** Bytes as the terminal shows them: 1 MB is 1,000,000 bytes. */
  const bytes = (value) =>
    Math.abs(value) < 999.5 ? `${Math.round(value)} B` : scaled(value, [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]);

  /** Nanoseconds in the unit that reads best. */
  const time = (value) => scaled(value, [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]]);

  // Colours: those of the system until the button is used. Scripts that draw listen for "theme".
  const system = matchMedia("(prefers-color-scheme: dark)");
  const tell = () => document.dispatchEvent(new Event("theme"));
  const storage = (use) => {
    try { return use(localStorage); } catch { return null; } // A page from a file may have none.
  };
  const choose = (theme) => {
    root.dataset.theme = theme;
    storage((kept) => kept.setItem("pelemay-theme", theme));
    tell();
  };
  const before = storage((kept) => kept.getItem("pelemay-theme"));
  if (before) root.dataset.theme = before;
  document.getElementById("theme")?.addEventListener("click", () => {
    const now = root.dataset.theme ?? (system.matches ? "dark" : "light");
    choose(now === "dark" ? "light" : "dark");
  });
  for (const media of [system, matchMedia("print")]) media.addEventListener("change", tell);

  // Tips: one box for what is pointed at, focused or touched; it stays inside of the window.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);
  let owner = null;

  /** Show a text at a point of the window; over it, or under it where there is no room. */
  const showTip = (text, x, y, gap = 14) => {
    tip.textContent = text;
    tip.hidden = false;
    tip.style.left = tip.style.top = "0";
    const { width, height } = tip.getBoundingClientRect();
    const room = root.clientWidth;
    const left = Math.min(Math.max(8, x - width / 2), Math.max(8, room - width - 8));
    const top = y - height - gap < 4 ? y + gap : y - height - gap;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${top + scrollY}px`;
  };
  const hideTip = () => {
    tip.hidden = true;
    owner?.removeAttribute("aria-describedby");
    owner = null;
  };
  const tipOf = (target) => (target instanceof Element ? target.closest("[data-tip]") : null);
  const point = (found) => {
    hideTip();
    owner = found;
    const box = found.getBoundingClientRect();
    showTip(found.dataset.tip, box.left + Math.min(box.width, root.clientWidth) / 2, box.top, 8);
    found.setAttribute("aria-describedby", "tip");
  };
  document.addEventListener("pointerover", (event) => {
    const found = tipOf(event.target);
    if (found && found !== owner) point(found);
    else if (!found && owner && event.pointerType === "mouse") hideTip();
  });
  document.addEventListener("focusin", (event) => {
    const found = tipOf(event.target);
    if (found && event.target.matches(":focus-visible")) point(found);
  });
  document.addEventListener("focusout", () => owner && hideTip());
  document.addEventListener("pointerdown", (event) => { if (!event.target.closest("[data-tip], [data-series]")) hideTip(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

  // Tables: by number where a cell has one, by text otherwise; cells without either come last.
  const numbers = new Intl.Collator("en", { numeric: true });
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : numbers.compare(String(a), String(b));
  const sort = (heading) => {
    const table = heading.closest("table");
    const column = heading.cellIndex;
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentNode.cells) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
    rows.sort(([a], [b]) => (a === "") - (b === "") || (down ? compare(b, a) : compare(a, b)));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };
  for (const heading of document.querySelectorAll("table.sortable thead th")) {
    heading.querySelector("button")?.addEventListener("click", () => sort(heading));
  }

  // Marks of one plot are one stop of the Tab key; arrow keys move between them.
  for (const group of document.querySelectorAll(".marks")) {
    const marks = [...group.querySelectorAll(".mark")];
    marks.forEach((mark, i) => { mark.tabIndex = i ? -1 : 0; });
    group.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const at = marks.indexOf(event.target.closest(".mark"));
      if (!step || at < 0) return;
      event.preventDefault();
      const next = marks[(at + step + marks.length) % marks.length];
      marks[at].tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  }

  // Labels of marks go where they cover neither another label nor a mark; without room they go.
  const SIDES = ["", "on-left", "above", "below", "up", "down"];
  const place = (group) => {
    const within = group.getBoundingClientRect();
    const taken = [...group.querySelectorAll(".mark i")].map((dot) => dot.getBoundingClientRect());
    const isFree = (box) =>
      box.left >= within.left - 4 && box.right <= within.right + 12 &&
      box.top >= within.top - 20 && box.bottom <= within.bottom + 4 &&
      taken.every((o) => box.right <= o.left || box.left >= o.right || box.bottom <= o.top || box.top >= o.bottom);
    for (const label of group.querySelectorAll(".mark-label")) {
      const mark = label.parentElement;
      mark.classList.remove(...SIDES.slice(1), "mute");
      const found = SIDES.find((side) => {
        mark.classList.remove(...SIDES.slice(1));
        if (side) mark.classList.add(side);
        return isFree(label.getBoundingClientRect());
      });
      if (found === undefined) mark.classList.add("mute");
      else taken.push(label.getBoundingClientRect());
    }
  };
  const placeAll = () => document.querySelectorAll(".marks").forEach(place);
  addEventListener("resize", placeAll);
  placeAll();

  // In a notebook the page is a frame, which takes the height of what is in it.
  if (window.frameElement) {
    const fit = () => { window.frameElement.style.height = `${document.body.scrollHeight + 8}px`; };
    new ResizeObserver(fit).observe(document.body);
  }

  return { data, colour, bytes, time, threeDigits, showTip, hideTip };
})();
