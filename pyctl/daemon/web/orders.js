// What can be ordered of a set or an alert, each with its question.

import { post, remove } from "./api.js";
import { confirm } from "./confirm.js";
import { byId, fill, make } from "./dom.js";

const PATTERNS = ["sequential", "random", "staggered", "focused"];
const TIMES = [["3600", "an hour"], ["28800", "8 hours"], ["86400", "a day"], ["604800", "a week"]];

const select = (options) =>
  make("select", {}, ...options.map(([value, text]) => make("option", { value }, text)));
const why = () => ["why", "Why (for the audit log)", make("input", { maxlength: 1000, autocomplete: "off" })];

// `done` is called when something was ordered.
export function makeOrders(done) {
  const order = async (body) => {
    await post("/v1/actions", body);
    done();
  };
  const alert = (word, text) => (one) =>
    confirm({
      title: `${word} alert ${one.id}?`,
      text: `${text} ${one.text}`,
      yes: word,
      act: async () => {
        await post(`/v1/alerts/${one.id}/${word.toLowerCase()}`);
        done();
      },
    });
  return {
    scan: (device) =>
      confirm({
        title: `Scan ${device}?`,
        text: "All of the disk is read, while nobody else needs it.",
        yes: "Start",
        fields: [["pattern", "Order", select(PATTERNS.map((one) => [one, one]))], why()],
        act: (values) => order({ kind: "scan", device, ...values }),
      }),
    stop: (device) =>
      confirm({
        title: `Stop the scan of ${device}?`,
        text: "The next one begins anew.",
        yes: "Stop",
        fields: [why()],
        act: (values) => order({ kind: "scan-stop", device, ...values }),
      }),
    empty: (device, spare) =>
      confirm({
        title: `Empty spare ${spare} of ${device}?`,
        text: "What is on it is moved to the other spares, and nothing new is put there.",
        yes: "Empty",
        fields: [why()],
        act: (values) => order({ kind: "evacuate", device, spare, ...values }),
      }),
    add: (device) =>
      confirm({
        title: `Add a spare to ${device}?`,
        text: "It must be blank: a device that carries anything is refused.",
        yes: "Add",
        fields: [
          ["spare", "Device", make("input", { required: true, pattern: "/dev/.+", placeholder: "/dev/disk/by-id/…" })],
          why(),
        ],
        act: (values) => order({ kind: "spare-add", device, ...values }),
      }),
    alerts: {
      acknowledge: alert("Acknowledge", "Nobody else is told, unless it gets worse."),
      resolve: alert("Resolve", "It is over. Those who were told of it are told that."),
      mute: (one) =>
        confirm({
          title: `Mute ${one.key}?`,
          text: "Nobody is told of it for a time.",
          yes: "Mute",
          fields: [["seconds", "For", select(TIMES)], why()],
          act: async (values) => {
            // what is a pattern's character in the name stands for itself
            const pattern = one.key.replace(/[*?[]/g, "[$&]");
            await post("/v1/mutes", { pattern, seconds: Number(values.seconds), why: values.why });
            done();
          },
        }),
    },
    unmute: (one) =>
      confirm({
        title: `End the mute of ${one.pattern}?`,
        text: "People are told of it again.",
        yes: "End",
        act: async () => {
          await remove(`/v1/mutes/${one.id}`);
          done();
        },
      }),
  };
}

// The buttons of a set; `scan` is what its map says of it, `role` who asks.
export function showOrders(orders, device, scan, role) {
  if (role === "viewer" || !device.up) {
    fill(byId("orders"));
    return;
  }
  const button = (key, text, act) => make("button", { type: "button", "data-key": key, click: act }, text);
  const busy = scan && !["off", "waiting"].includes(scan.state);
  fill(
    byId("orders"),
    scan && !busy ? button(`scan ${device.name}`, "Start a scan…", () => orders.scan(device.name)) : null,
    busy ? button(`stop ${device.name}`, "Stop the scan…", () => orders.stop(device.name)) : null,
    role === "admin" ? button(`add ${device.name}`, "Add a spare…", () => orders.add(device.name)) : null,
  );
}
