// What happened, newest first, and what was done.

import { byId, empty, fill, make, mood } from "./dom.js";
import { number, sectors, time } from "./format.js";

const MOST = 200;
const BAD = ["lost", "breaker-open", "set-failed", "space-full", "spare-failed", "copy-failed", "action-failed"];
const WARN = ["read-error", "write-error", "verify-error", "weak-region", "spare-missing", "space-low", "events-lost"];
const ENDS = { done: "good", failed: "bad", undone: "warn" };

const events = new Map();

export function clearTimeline() {
  events.clear();
}

// An event that is new here; false if it is known.
export function addEvent(one) {
  if (events.has(one.id)) return false;
  events.set(one.id, one);
  if (events.size > MOST) events.delete(Math.min(...events.keys()));
  return true;
}

export function showTimeline(fresh = null) {
  const rows = [...events.values()].sort((a, b) => b.id - a.id).map((one) => row(one, one.id === fresh));
  fill(
    byId("timeline"),
    ...(rows.length ? rows : [empty("Nothing has happened yet. What does, is shown here at once.")]),
  );
}

function row(one, fresh) {
  const how = BAD.includes(one.kind) ? "bad" : WARN.includes(one.kind) ? "warn" : "good";
  const told = [
    one.count > 1 ? `${number(one.count)} times` : null,
    one.action,
    one.spare === null ? null : `spare ${one.spare}`,
    one.sector === null ? null : `sector ${number(one.sector)}` + (one.sectors ? `, ${sectors(one.sectors)}` : ""),
    one.text || null,
  ].filter(Boolean);
  return make(
    "li",
    { "data-event": one.id, class: fresh ? "fresh" : null },
    make("time", {}, time(one.time)),
    make("strong", {}, one.device),
    mood(how, one.kind),
    make("span", { class: "grow" }, told.join(", ")),
  );
}

export function showActions(actions) {
  fill(
    byId("actions"),
    ...(actions.length
      ? actions.map(action)
      : [empty("Nothing was done yet. Rules of the policy act by themselves; operators order things at a set.")]),
  );
}

function action(one) {
  const error = one.result.error;
  return make(
    "li",
    { "data-action": one.id },
    make("time", {}, time(one.time)),
    make("strong", {}, one.device === "*" ? "all devices" : one.device),
    make("span", {}, one.kind),
    mood(ENDS[one.state] ?? "warn", one.state),
    make("span", { class: "grow" }, `${one.who}: ${one.why || "no reason given"}${error ? ` (${error})` : ""}`),
  );
}
