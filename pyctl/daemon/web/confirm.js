// Nothing is ordered without a question first.

import { byId, fill, make } from "./dom.js";

let pending = null;

// Ask with some fields ([name, label, element]); `act` gets their values when the answer is yes.
// What it throws is shown, and the question stays.
export function confirm({ title, text, yes, fields = [], act }) {
  fill(byId("confirm-title"), title);
  fill(byId("confirm-text"), text);
  fill(byId("confirm-yes"), yes);
  fill(byId("confirm-trouble"));
  byId("confirm-fields").replaceChildren(
    ...fields.map(([name, label, element]) => {
      element.setAttribute("id", `field-${name}`);
      element.setAttribute("name", name);
      return make("div", {}, make("label", { for: `field-${name}` }, label), element);
    }),
  );
  pending = act;
  byId("confirm-yes").disabled = false;
  byId("confirm").showModal();
}

export const close = () => byId("confirm").close();

export function startConfirm() {
  byId("confirm-no").addEventListener("click", close);
  byId("confirm-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const act = pending;
    if (!act || byId("confirm-yes").disabled) return;
    byId("confirm-yes").disabled = true;
    try {
      await act(Object.fromEntries(new FormData(byId("confirm-form"))));
      close();
    } catch (error) {
      fill(byId("confirm-trouble"), error.message);
    } finally {
      byId("confirm-yes").disabled = false;
    }
  });
}
