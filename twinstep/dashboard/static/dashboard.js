// What a page does by itself: it asks for its fragments anew when something has changed, sends forms, and
// remembers the theme and who sits here. Without this script every page can be read; only what does something needs it.
"use strict";

(() => {
  const said = document.querySelector(".said");

  function say(text, bad) {
    said.textContent = text;
    said.classList.toggle("bad", Boolean(bad));
    said.hidden = false;
  }

  // Theme: the system's until somebody chooses; theme.js takes it up again on every page
  const themes = ["system", "dark", "light"];
  const chooser = document.querySelector("[data-theme-switch]");

  function chosen() {
    return document.documentElement.dataset.theme || "system";
  }

  function nameTheme() {
    chooser.querySelector("[data-theme-name]").textContent = chosen();
    chooser.setAttribute("aria-label", `Theme: ${chosen()}`);
  }

  chooser.addEventListener("click", () => {
    const next = themes[(themes.indexOf(chosen()) + 1) % themes.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      if (next === "system") localStorage.removeItem("theme");
      else localStorage.setItem("theme", next);
    } catch {
      say("This browser keeps nothing, so the theme holds for this page only.", true);
    }
    nameTheme();
  });
  nameTheme();
  chooser.hidden = false;

  // One name per browser: whoever has given it once finds it in every form, and can change it in each
  let name = "";

  function known() {
    try {
      return localStorage.getItem("name") || name;
    } catch {
      return name;
    }
  }

  function remember(given) {
    name = given;
    try {
      localStorage.setItem("name", given);
    } catch {
      // it holds for this page
    }
    fillNames(document);
  }

  function fillNames(part) {
    const fields = [...part.querySelectorAll("[name=by]")];
    // what somebody has typed is theirs; a default is no sign of writing
    for (const field of fields) if (field.value === field.defaultValue) field.defaultValue = known();
  }

  fillNames(document);

  // The menu of a phone scrolls: what is shown is in sight
  document.querySelector(".menu [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  // Fragments: swapped unless somebody writes in them right now. One look at a time, so that an older answer
  // never comes over a newer one; whoever asks before the next look has begun shares it.
  let looking = Promise.resolve();
  let next = null;

  function refresh(force) {
    if (next && (next.force || !force)) return next.seen;
    const mine = { force };
    next = mine;
    mine.seen = looking
      .catch(() => {}) // whoever asked for that look has been told
      .then(() => {
        if (next === mine) next = null;
        return look(force);
      });
    looking = mine.seen;
    return mine.seen;
  }

  function ask(address) {
    return fetch(address, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(20000) });
  }

  async function look(force) {
    const head = document.querySelector("[data-state]");
    let told = null; // what the head should show, as an answer says
    for (const part of document.querySelectorAll("[data-live]")) {
      if (!force && inUse(part)) continue;
      const answer = await ask(part.dataset.live);
      if (answer.status === 401) return location.assign("/login");
      if (!answer.ok) continue;
      told = answer.headers.get("x-state");
      const text = await answer.text();
      await released(part);
      if (!force && inUse(part)) continue; // somebody has begun to write meanwhile
      swap(part, text);
      if (told !== null) countWaiting(told); // with the page, not after it
    }
    if (told !== null && told === head.dataset.state) return;
    const state = await ask("/state");
    if (!state.ok) return;
    const text = await state.text();
    await released(head);
    swap(head, text);
    head.dataset.state = state.headers.get("x-state");
    countWaiting(head.dataset.state);
  }

  const REACHED = "a[href], button, input:not([type=hidden]), select, textarea";

  function fields(part) {
    return [...part.querySelectorAll("input:not([type=hidden]), select, textarea")];
  }

  // Which form this is: where it goes, and what it is about where several go to the same place
  function nameOf(form) {
    const about = [...form.querySelectorAll("input[type=hidden]:not([name=key], [name=by])")];
    return [form.dataset.send, ...about.map((one) => one.value)].join(" ");
  }

  function isTyped(field) {
    if (!field.matches("select")) return field.value !== field.defaultValue;
    const drawn = [...field.options].findIndex((one) => one.defaultSelected);
    return field.selectedIndex !== Math.max(drawn, 0);
  }

  // somebody writes there right now, when a swap would close a list or break a letter of several keys; or a form
  // is on its way, which must not come back as one that was never sent
  function inUse(part) {
    return fields(part).includes(document.activeElement) || part.querySelector("[data-sending]") !== null;
  }

  // A click is a press and a release on the same button: one that is pressed is not taken from under the finger,
  // unless it is held for seconds, when news count for more
  async function released(part) {
    for (let looks = 0; looks < 100 && part.matches(":active"); looks += 1) {
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }

  // What somebody has typed in a form is there in the same form of the new text; who goes by keyboard stays there
  function swap(part, text) {
    const place = (one) => one.getAttribute("href") ?? `${one.form && nameOf(one.form)} ${one.name}`;
    const typed = new Map(fields(part).filter(isTyped).map((field) => [place(field), field.value]));
    const active = document.activeElement;
    const here = part.contains(active) && active.matches(REACHED) ? place(active) : null;
    const range = here && active.setSelectionRange ? [active.selectionStart, active.selectionEnd] : null;
    part.innerHTML = text;
    fillNames(part);
    for (const field of fields(part)) {
      if (typed.has(place(field))) field.value = typed.get(place(field));
    }
    const again = here && [...part.querySelectorAll(REACHED)].find((one) => place(one) === here);
    again?.focus({ preventScroll: true });
    if (again && range) again.setSelectionRange(...range);
  }

  function countWaiting(state) {
    const count = document.querySelector("[data-waiting]");
    count.textContent = state.split(" ")[2];
    count.hidden = count.textContent === "0";
  }

  // Forms: JSON, and the answer in words
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("[data-send]");
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    form.dataset.sending = "";
    try {
      const answer = await fetch(form.dataset.send, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(Object.fromEntries(new FormData(form))),
      });
      const body = await answer.json();
      const why = typeof body.detail === "string" ? body.detail : "a field is missing or too long";
      say(answer.ok ? body.says : why, !answer.ok || !body.done);
      const by = form.querySelector("[name=by]")?.value.trim();
      if (answer.ok && by) remember(by);
      if (answer.ok && body.done) {
        // what was sent is no longer being written, also where a swap has drawn its form anew
        for (const one of document.querySelectorAll("[data-send]")) {
          if (nameOf(one) === nameOf(form)) one.reset();
        }
        await refresh(true).catch(() => alone(true)); // it is done, whether or not it can be shown
      } else if (answer.ok) form.querySelector("[name=key]").value = crypto.randomUUID().replaceAll("-", "");
    } catch {
      say("The dashboard does not answer; is it still running? Nothing is known to be done.", true);
    } finally {
      button.disabled = false;
      delete form.dataset.sending;
    }
  });

  // News: a browser connects again by itself
  function alone(is) {
    document.body.classList.toggle("alone", is);
  }

  if (document.querySelector("[data-live]")) {
    const hear = () => refresh(false).then(() => alone(false), () => alone(true));
    const news = new EventSource("/events");
    news.addEventListener("changed", hear); // each stream begins with one
    news.addEventListener("error", () => alone(true));
  }
})();
