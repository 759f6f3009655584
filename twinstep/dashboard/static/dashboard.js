// What a page does by itself: it asks for its fragments anew when something has changed, sends forms, and
// remembers the theme. Without this script every page can be read; only what does something needs it.
"use strict";

(() => {
  const said = document.querySelector(".said");

  function say(text, bad) {
    said.textContent = text;
    said.classList.toggle("bad", Boolean(bad));
    said.hidden = false;
  }

  // Theme: the system's until somebody chooses
  const kept = localStorage.getItem("theme");
  if (kept) document.documentElement.dataset.theme = kept;
  document.querySelector("[data-theme-switch]")?.addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("theme", next);
  });

  // Fragments: swapped unless somebody is writing in them
  function inUse(part) {
    const fields = [...part.querySelectorAll("input:not([type=hidden]), textarea")];
    return fields.some((field) => field.value !== field.defaultValue || field === document.activeElement);
  }

  async function refresh(force) {
    for (const part of document.querySelectorAll("[data-live]")) {
      if (!force && inUse(part)) continue;
      const answer = await fetch(part.dataset.live, { headers: { accept: "text/html" } });
      if (answer.status === 401) return location.assign("/login");
      if (!answer.ok) continue;
      const text = await answer.text();
      if (force || !inUse(part)) part.innerHTML = text; // somebody may have begun to write meanwhile
    }
    const state = await fetch("/state", { headers: { accept: "text/html" } });
    if (state.ok) document.querySelector("[data-state]").innerHTML = await state.text();
  }

  // Forms: JSON, and the answer in words
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("[data-send]");
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const answer = await fetch(form.dataset.send, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(Object.fromEntries(new FormData(form))),
      });
      const body = await answer.json();
      const why = typeof body.detail === "string" ? body.detail : "a field is missing or too long";
      say(answer.ok ? body.says : why, !answer.ok || !body.done);
      if (answer.ok && body.done) await refresh(true);
      else if (answer.ok) form.querySelector("[name=key]").value = crypto.randomUUID().replaceAll("-", "");
    } catch {
      say("The dashboard does not answer; is it still running? Nothing is known to be done.", true);
    } finally {
      button.disabled = false;
    }
  });

  // News: a browser connects again by itself
  if (document.querySelector("[data-live]")) {
    const news = new EventSource("/events");
    news.addEventListener("changed", () => refresh(false));
    news.addEventListener("open", () => {
      document.body.classList.remove("alone");
      refresh(false); // what changed between the drawing of the page and now
    });
    news.addEventListener("error", () => document.body.classList.add("alone"));
  }
})();
