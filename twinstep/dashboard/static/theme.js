// The theme that somebody chose, before anything is drawn: "light", "dark", or nothing for the system's.
"use strict";

(() => {
  try {
    const kept = localStorage.getItem("theme");
    if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
  } catch {
    // a browser that keeps nothing has the system's
  }
})();
