// The page: log in, show, hear what happens, and come back when the daemon was away.

import { Failure, forget, get, keep, listen, token } from "./api.js";
import { showAlerts, showMutes } from "./alerts.js";
import { close, startConfirm } from "./confirm.js";
import { byId, fill } from "./dom.js";
import { time } from "./format.js";
import { CELLS, noMap, showMap, startMap } from "./map.js";
import { makeOrders, showOrders } from "./orders.js";
import { explain, showRules } from "./policy.js";
import { showSet, showSets, showSpares } from "./sets.js";
import { addEvent, clearTimeline, showActions, showTimeline } from "./timeline.js";

// Milliseconds: between two looks at everything, and after an event; the longest pause between two
// attempts to connect.
const LOOK = 15000;
const SOON = 300;
const LEAST = 2000;
const LONGEST = 15000;
// Elements with what the daemon said.
const PRIVATE = [
  ...["sets", "alerts", "mutes", "actions", "timeline", "caller", "set-title", "set-state", "facts"],
  ...["orders", "forecast", "spares", "rule", "explanation"],
];

let me = null;
let sets = [];
let last = 0;
let ending = null;
let looking = null;
let looked = 0;
let again = null;
let due = 0;
// the scan of the set that is shown, as its map said last
let scan = null;
let scanOf = null;
let fresh = null;

const orders = makeOrders(() => soon());
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const mayOrder = () => me && me.role !== "viewer";

function chosen() {
  const match = /^#\/set\/(.+)$/.exec(location.hash);
  if (!match) return sets.length === 1 ? sets[0].name : null;
  try {
    return decodeURIComponent(match[1]);
  } catch {
    return null;
  }
}

function trouble(text) {
  byId("trouble").hidden = !text;
  fill(byId("trouble"), text);
}

function connection(on, text) {
  byId("connection").dataset.state = on ? "on" : "off";
  fill(byId("connection"), text);
}

// Show what was looked at.

async function look() {
  const mine = ending;
  const [found, alerts, mutes, actions, status] = await Promise.all([
    get("/v1/devices"),
    get("/v1/alerts"),
    get("/v1/mutes"),
    get("/v1/actions", { limit: 20 }),
    get("/v1/status"),
  ]);
  if (mine !== ending) return;
  sets = found;
  showAlerts(alerts, mayOrder() ? orders.alerts : null);
  showMutes(mutes, mayOrder() ? orders.unmute : null);
  showActions(actions);
  trouble(status.trouble && `The daemon has trouble, and tries again: ${status.trouble}`);
  await choose();
}

async function choose() {
  const name = chosen();
  const one = sets.find((each) => each.name === name);
  showSets(sets, name);
  byId("set").hidden = !one;
  if (!one) return;
  if (scanOf !== name) [scan, scanOf] = [null, name];
  showSet(one);
  showSpares(one, Date.now() / 1000, mayOrder() ? (row) => orders.empty(one.name, row) : null);
  showOrders(orders, one, scan, me.role);
  await Promise.all([map(one), explain(one.name)]);
}

async function map(one) {
  if (!one.up) return noMap("The set is not there now, so it cannot be asked.");
  let found;
  try {
    found = await get(`/v1/devices/${encodeURIComponent(one.name)}/map`, { cells: CELLS });
  } catch (error) {
    if (error.status === 0 || error.status === 401) throw error;
    if (me && chosen() === one.name) noMap(error.message);
    return;
  }
  if (!me || chosen() !== one.name) return;
  scan = found.scan;
  showMap(found, one.unit_bytes);
  showOrders(orders, one, scan, me.role);
}

// Look again soon: after an event, an order, or some time. One look at a time, not too often, and
// never later than somebody has asked for.
function soon(wait = SOON) {
  if (!ending || ending.signal.aborted) return;
  const at = Math.max(Date.now() + wait, looked + LEAST);
  if (again && due <= at) return;
  clearTimeout(again);
  due = at;
  again = setTimeout(refresh, at - Date.now());
}

function later() {
  clearTimeout(again);
  again = null;
}

async function refresh() {
  later();
  if (looking) {
    await looking.catch(() => {});
    return soon();
  }
  const mine = ending;
  looked = Date.now();
  looking = look();
  try {
    await looking;
  } catch (error) {
    if (mine !== ending) return;
    if (error.status === 401) leave("The daemon does not know this token any more.");
    // that it does not answer at all is found out by the stream
    else if (error.status) trouble(error.message);
  } finally {
    looking = null;
    if (mine === ending) soon(LOOK);
  }
}

function heard(one) {
  last = Math.max(last, one.id);
  if (one.kind !== "reading" && addEvent(one)) {
    // however many come at once, they are drawn once
    fresh ??= setTimeout(() => {
      fresh = null;
      if (me) showTimeline(last);
    }, 50);
  }
  soon();
}

// Stay connected.

async function begin(mine) {
  const [caller, status] = await Promise.all([get("/v1/me"), get("/v1/status")]);
  const [events, policy] = await Promise.all([
    get("/v1/events", { newest: true, without: "reading", limit: 200 }),
    get("/v1/policy"),
  ]);
  if (mine !== ending) return;
  me = caller;
  last = status.last_event;
  clearTimeline();
  events.forEach(addEvent);
  showTimeline();
  showRules(policy);
  fill(byId("caller"), `${me.name}, ${me.role}`);
  byId("login").hidden = true;
  byId("leave").hidden = false;
  byId("page").hidden = false;
  await look();
}

async function live() {
  const mine = (ending = new AbortController());
  let pause = 1000;
  while (!mine.signal.aborted) {
    let why = "The daemon has ended the connection.";
    let wait = pause;
    try {
      await begin(mine);
      if (mine.signal.aborted) return;
      await listen(
        last,
        mine.signal,
        () => {
          connection(true, "Connected");
          pause = 1000;
          wait = 1000;
          soon();
        },
        (one) => mine === ending && heard(one),
      );
    } catch (error) {
      if (mine.signal.aborted) return;
      if (error.status === 401) return leave("The daemon does not know this token.");
      if (error instanceof Failure) [why, wait] = [error.message, Math.max(pause, error.wait * 1000)];
      else if (error.name !== "AbortError" && !(error instanceof TypeError)) throw error;
    }
    if (mine.signal.aborted) return;
    later();
    connection(false, "Not connected");
    trouble(`${why} What is shown is of ${time(Date.now() / 1000)}. Trying again every few seconds.`);
    await sleep(wait);
    pause = Math.min(LONGEST, pause * 2);
  }
}

function leave(why = "") {
  ending?.abort();
  ending = null;
  later();
  forget();
  me = null;
  sets = [];
  close();
  trouble("");
  connection(false, "Not connected");
  // what was shown is private
  for (const id of PRIVATE) fill(byId(id));
  noMap("");
  byId("set").hidden = true;
  byId("page").hidden = true;
  byId("leave").hidden = true;
  byId("login").hidden = false;
  fill(byId("login-trouble"), why);
  byId("token").focus();
}

function start() {
  startMap();
  startConfirm();
  byId("leave").addEventListener("click", () => leave());
  byId("login").addEventListener("submit", (event) => {
    event.preventDefault();
    keep(byId("token").value.trim());
    byId("token").value = "";
    fill(byId("login-trouble"));
    live();
  });
  byId("rule").addEventListener("change", () => explain(chosen()).catch((error) => trouble(error.message)));
  addEventListener("hashchange", () => {
    if (!me) return;
    const done = choose();
    if (!byId("set").hidden) byId("set-title").focus();
    done.catch((error) => trouble(error.message));
  });
  if (token()) live();
  else leave();
}

start();
