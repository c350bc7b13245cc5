// The sets, and how one of them is.

import { byId, empty, fill, make, mood } from "./dom.js";
import { bytes, counted, duration, number, percent, time } from "./format.js";

// What is wrong with a set, worst first: [mood, text].
export function troubles(one) {
  const found = [];
  if (!one.up) found.push(["bad", `not there since ${time(one.time)}`]);
  if (one.failed) found.push(["bad", "failed: it takes no writes"]);
  if (one.breaker_open) found.push(["bad", "stopped remapping: too many errors"]);
  if (one.space === "full") found.push(["bad", "no room for another bad block"]);
  if (one.lost > 0) found.push(["bad", `${counted(one.lost, "block")} lost`]);
  if (one.health < 50) found.push(["bad", `health ${one.health}`]);
  if (one.space === "low") found.push(["warn", "little room is left"]);
  const away = one.spares.filter((spare) => ["failed", "missing"].includes(spare.state)).length;
  if (away) found.push(["warn", `${counted(away, "spare")} away`]);
  if (one.below > 0) found.push(["warn", `${counted(one.below, "block")} with too few copies`]);
  if (one.health >= 50 && one.health < 80) found.push(["warn", `health ${one.health}`]);
  if (one.copy_phase === "failed") found.push(["warn", "the copy to a new disk failed"]);
  return found;
}

const state = (one) => troubles(one)[0] ?? ["good", "well"];

export function showSets(sets, chosen) {
  if (!sets.length) {
    fill(byId("sets"), empty("No set was seen yet. Make one with “pyctl create NAME DISK SPARE”."));
    return;
  }
  fill(byId("sets"), ...sets.map((one) => card(one, one.name === chosen)));
}

function card(one, current) {
  const [how, text] = state(one);
  return make(
    "li",
    {},
    make(
      "a",
      {
        href: `#/set/${encodeURIComponent(one.name)}`,
        "data-key": `set ${one.name}`,
        "data-mood": how,
        "aria-current": current ? "true" : null,
      },
      make("strong", {}, one.name),
      make("span", { class: "mood", "data-mood": how }, text),
      make("span", {}, `health ${one.health}, ${percent(one.fill)} of the room in use`),
    ),
  );
}

export function showSet(one) {
  fill(byId("set-title"), one.name);
  const found = troubles(one);
  fill(
    byId("set-state"),
    ...(found.length ? found : [["good", "All is well."]]).flatMap(([how, text], i) => [
      i ? "; " : "",
      mood(how, text),
    ]),
  );
  const facts = [
    ["Health", `${one.health} of 100`],
    ["Read errors", number(one.read_errors)],
    ["Write errors", number(one.write_errors)],
    ["Remapped", counted(one.remapped, "block")],
    ["Lost", counted(one.lost, "block")],
    ["Looked at", time(one.time)],
  ];
  if (one.temperature !== null) facts.push(["Hottest disk", `${Math.round(one.temperature)} °C`]);
  if (one.prediction !== null) {
    facts.push(["May fail within 7 days", percent(100 * one.prediction)]);
  }
  fill(
    byId("facts"),
    ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
  );
}

// `order(spare)` is called for one that is to be emptied; null for those who may not.
export function showSpares(one, now, order) {
  fill(byId("forecast"), forecast(one, now));
  if (!one.spares.length) {
    fill(byId("spares"), empty("No spare. Add one with “pyctl spare add”."));
    return;
  }
  fill(byId("spares"), ...one.spares.map((spare) => row(one, spare, order)));
}

function forecast(one, now) {
  const room = `${counted(one.used, "block")} of ${number(one.capacity)} in use (${percent(one.fill)})`;
  if (one.full_at === null) return `${room}; it is not in sight that they will be full.`;
  if (one.full_at <= now) return `${room}; they are full.`;
  return `${room}; full in ${duration(one.full_at - now)} if it goes on like this.`;
}

function row(one, spare, order) {
  const inUse = spare.usable ? (100 * spare.used) / spare.usable : 0;
  const how = spare.state !== "in-sync" ? "bad" : spare.health < 60 ? "warn" : "good";
  const name = `Spare ${spare.row}`;
  return make(
    "li",
    {},
    make("strong", {}, name),
    mood(how, spare.draining ? `${spare.state}, being emptied` : spare.state),
    make("span", {}, `health ${spare.health}`),
    make("meter", { min: 0, max: 100, value: inUse.toFixed(2), "aria-label": `${name}: in use` }),
    make(
      "span",
      {},
      `${bytes(spare.used * one.unit_bytes)} of ${bytes(spare.usable * one.unit_bytes)}`,
    ),
    spare.bad ? make("span", {}, `${counted(spare.bad, "bad block")}`) : null,
    order && spare.state === "in-sync" && one.up && !spare.draining
      ? make(
          "button",
          {
            type: "button",
            "data-key": `empty ${spare.row}`,
            "aria-label": `Empty spare ${spare.row}`,
            click: () => order(spare.row),
          },
          "Empty…",
        )
      : null,
  );
}
