// The disk map: a cell for each piece of the disk, of which only some have something to tell.

import { byId, fill, make } from "./dom.js";
import { counted, number, sectors } from "./format.js";

// How many cells at most: a phone shows them on less than two screens.
export const CELLS = 480;

const LIMITS = [1, 10, 100, 1000];
const over = (value, limits) => limits.filter((one) => value >= one).length;

// What can be shown: how bad a cell is (0 to 4), and what each degree means.
const KINDS = {
  errors: {
    about: "Blocks that can't be read, or whose data is lost.",
    level: (cell, unit) => over(cell.errors + Math.ceil(cell.lost / unit), LIMITS),
    legend: ["none", "1 to 9 blocks", "10 to 99", "100 to 999", "1000 and more"],
  },
  latency: {
    about: "Where reading took long when the scan looked: pieces of 32 KiB, and blocks that took several attempts.",
    level: (cell) => over(cell.slow + cell.marginal + cell.retries, LIMITS),
    legend: ["none", "1 to 9 places", "10 to 99", "100 to 999", "1000 and more"],
  },
  remaps: {
    about: "How much lies on a spare.",
    level: (cell) => {
      const part = (100 * cell.remapped) / cell.sectors;
      return part > 0 ? 1 + over(part, [1, 10, 50]) : 0;
    },
    legend: ["nothing", "below 1 %", "1 to 9 %", "10 to 49 %", "half and more"],
  },
};

let shown = null;
let unit = 8;
let chosen = 0;

const kind = () => document.querySelector('input[name="map-kind"]:checked').value;
const length = () => (shown ? Math.ceil(shown.sectors / shown.cell_sectors) : 0);

// `map` is what the interface says, `blockBytes` the size of a block of the set.
export function showMap(map, blockBytes) {
  if (shown && (shown.device !== map.device || shown.sectors !== map.sectors)) chosen = 0;
  shown = map;
  unit = blockBytes / 512;
  draw();
}

export function noMap(why) {
  shown = null;
  fill(byId("map"));
  fill(byId("legend"));
  fill(byId("map-details"));
  fill(byId("map-about"), why);
}

function draw() {
  const about = KINDS[kind()];
  const told = new Map(shown.cells.map((cell) => [cell.sector / shown.cell_sectors, cell]));
  const marked = shown.cells.filter((cell) => about.level(cell, unit) > 0).length;
  fill(
    byId("map-about"),
    `${about.about} The disk has ${sectors(shown.sectors)}, a cell ${sectors(shown.cell_sectors)}; ` +
      (marked ? `${counted(marked, "cell")} of ${number(length())} marked.` : "nothing to show, all is well."),
  );
  fill(
    byId("legend"),
    ...about.legend.map((text, level) =>
      make("li", {}, make("span", { class: "cell", "data-level": level, "aria-hidden": "true" }), text),
    ),
  );
  const map = byId("map");
  const focused = map.contains(document.activeElement);
  while (map.childElementCount > length()) map.lastElementChild.remove();
  while (map.childElementCount < length()) map.append(make("div", { class: "cell", role: "option" }));
  [...map.children].forEach((element, i) => {
    const cell = told.get(i);
    set(element, "data-cell", i);
    set(element, "data-level", cell ? about.level(cell, unit) : 0);
    set(element, "aria-label", words(i, cell));
    set(element, "aria-selected", i === chosen && focused);
    set(element, "tabindex", i === chosen ? 0 : -1);
  });
}

function set(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

// Everything about a cell, in words.
function words(i, cell) {
  const first = i * shown.cell_sectors;
  const last = Math.min(first + shown.cell_sectors, shown.sectors) - 1;
  const place = `Sectors ${number(first)} to ${number(last)}: `;
  if (!cell) return `${place}nothing to tell`;
  const found = [
    [cell.errors, counted(cell.errors, "unreadable block")],
    [cell.lost, `${sectors(cell.lost)} lost`],
    [cell.retries, counted(cell.retries, "block read after several attempts", "blocks read after several attempts")],
    [cell.slow, counted(cell.slow, "slow piece")],
    [cell.marginal, counted(cell.marginal, "piece slow time and again", "pieces slow time and again")],
    [cell.blanks, counted(cell.blanks, "region turned blank", "regions turned blank")],
    [cell.remapped, `${sectors(cell.remapped)} on a spare`],
    [cell.usual_us, `a read usually takes ${number(cell.usual_us)} µs`],
    [cell.health < 100, `health ${cell.health}`],
  ];
  return place + (found.filter(([there]) => there).map(([, text]) => text).join(", ") || "nothing to tell");
}

function details(element) {
  fill(byId("map-details"), element.getAttribute("aria-label"));
}

function choose(i, focus) {
  const cells = byId("map").children;
  if (!cells[i]) return;
  for (const each of [chosen, i]) {
    set(cells[each], "tabindex", each === i ? 0 : -1);
    set(cells[each], "aria-selected", each === i);
  }
  chosen = i;
  details(cells[i]);
  if (focus) cells[i].focus();
}

const columns = () => getComputedStyle(byId("map")).gridTemplateColumns.split(" ").length;

function key(event) {
  const last = length() - 1;
  const next = {
    ArrowRight: chosen + 1,
    ArrowLeft: chosen - 1,
    ArrowDown: chosen + columns(),
    ArrowUp: chosen - columns(),
    Home: 0,
    End: last,
  }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  if (next >= 0 && next <= last) choose(next, true);
}

export function startMap() {
  const map = byId("map");
  const number = (event) => event.target.closest?.("#map .cell")?.dataset.cell;
  map.addEventListener("click", (event) => number(event) && choose(Number(number(event)), true));
  map.addEventListener("focusin", (event) => number(event) && choose(Number(number(event)), false));
  map.addEventListener("mouseover", (event) => number(event) && details(event.target));
  map.addEventListener("keydown", key);
  byId("map-kinds").addEventListener("change", () => shown && draw());
}
