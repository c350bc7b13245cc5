// Alerts that somebody has to look at, and what is muted.

import { byId, empty, fill, make, mood } from "./dom.js";
import { counted, time } from "./format.js";

const MOODS = { info: "good", warning: "warn", critical: "bad" };

// `orders` has acknowledge, resolve and mute, each of an alert; null for those who may not.
export function showAlerts(alerts, orders) {
  const sorted = [...alerts].sort((a, b) => b.last - a.last);
  const rows = sorted.map((one) => row(one, orders));
  fill(byId("alerts"), ...(rows.length ? rows : [empty("No alert is open. When a rule raises one, it is shown here.")]));
}

function row(one, orders) {
  const button = (word, order) =>
    make(
      "button",
      {
        type: "button",
        "data-key": `${word} ${one.id}`,
        "aria-label": `${word} alert ${one.id}`,
        click: () => order(one),
      },
      `${word}…`,
    );
  return make(
    "li",
    { "data-alert": one.id },
    mood(MOODS[one.severity], one.severity),
    make("span", { class: "grow" }, one.text),
    make(
      "span",
      { class: "faint" },
      `${one.device}, ${counted(one.count, "time")}, last `,
      make("time", {}, time(one.last)),
    ),
    one.state === "acknowledged" ? make("span", {}, `acknowledged by ${one.who}`) : null,
    orders && one.state === "open" ? button("Acknowledge", orders.acknowledge) : null,
    orders ? button("Resolve", orders.resolve) : null,
    orders ? button("Mute", orders.mute) : null,
  );
}

export function showMutes(mutes, unmute) {
  byId("mutes-title").hidden = !mutes.length;
  fill(
    byId("mutes"),
    ...mutes.map((one) =>
      make(
        "li",
        { "data-mute": one.id },
        make("code", {}, one.pattern),
        make("span", { class: "grow" }, one.why || "no reason given"),
        make("span", { class: "faint" }, `by ${one.who} until `, make("time", {}, time(one.until))),
        unmute
          ? make(
              "button",
              {
                type: "button",
                "data-key": `unmute ${one.id}`,
                "aria-label": `End mute ${one.id}`,
                click: () => unmute(one),
              },
              "End…",
            )
          : null,
      ),
    ),
  );
}
