// Why a rule acted on a set, or did not.

import { get } from "./api.js";
import { byId, empty, fill, make } from "./dom.js";

const VERDICTS = {
  act: "It acted.",
  "dry-run": "It would have acted, but this is a dry run.",
  "not-met": "It did nothing: its condition was not met.",
  "not-known": "It did nothing: what it asks for is not known.",
  "cooling-down": "It did nothing: it acted a short time ago.",
  limited: "It did nothing: a limit was reached.",
  blocked: "It could do nothing.",
  off: "It is switched off.",
};

export function showRules(policy) {
  fill(byId("rule"), ...policy.rules.map((rule) => make("option", { value: rule }, rule)));
  byId("rule").disabled = !policy.rules.length;
}

// Ask about the rule that is chosen; a rule about all sets is asked about these.
export async function explain(device) {
  const rule = byId("rule").value;
  if (!rule) {
    fill(byId("explanation"), empty("The policy has no rules. docs/policies.md says how to write some.", "p"));
    return;
  }
  const about = async (whom) => {
    try {
      return await get("/v1/explain", { rule, device: whom });
    } catch (error) {
      if (error.status === 404) return null;
      throw error;
    }
  };
  const found = (await about(device)) ?? (await about("*"));
  if (byId("rule").value !== rule || byId("page").hidden) return;
  if (!found) {
    fill(byId("explanation"), empty("It was not asked about this set yet. All rules are asked once a minute.", "p"));
    return;
  }
  fill(
    byId("explanation"),
    make("p", {}, make("strong", {}, VERDICTS[found.verdict] ?? found.verdict), ` ${found.why}`),
    make("p", { class: "faint" }, `Asked ${found.time.slice(0, 19).replace("T", " ")} UTC. What it saw:`),
    make("ul", { class: "tree" }, seen(found.seen)),
    found.steps.length
      ? make("ul", { class: "tree" }, ...found.steps.map((one) => make("li", {}, step(one))))
      : null,
  );
}

const step = (one) => `${one.action}: ${one.outcome}${one.why ? ` (${one.why})` : ""}`;

function seen(one) {
  const below = one.below ?? [];
  return make(
    "li",
    {},
    make("strong", {}, `${one.truth}: `),
    one.asks,
    one.saw ? ` (${one.saw})` : null,
    below.length ? make("ul", { class: "tree" }, ...below.map(seen)) : null,
  );
}
