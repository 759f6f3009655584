"use strict";
// What every report does: switch between light and dark, and let the keyboard scroll what is wider than its box.
(() => {
  const theme = document.getElementById("theme"), dark = matchMedia("(prefers-color-scheme: dark)");
  const current = () => document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  const nameTheme = () => { theme.textContent = current() === "dark" ? "Light" : "Dark"; theme.setAttribute("aria-label", `Switch to ${theme.textContent.toLowerCase()} colours`); };
  theme.hidden = false;
  theme.addEventListener("click", () => { document.documentElement.dataset.theme = current() === "dark" ? "light" : "dark"; nameTheme(); });
  dark.addEventListener("change", nameTheme);
  nameTheme();

  // Only a box that can be scrolled is worth a stop of the tab key.
  const watch = new ResizeObserver((seen) => {
    for (const { target: box } of seen) {
      if (box.scrollWidth <= box.clientWidth + 1 && box.scrollHeight <= box.clientHeight + 1) { box.removeAttribute("tabindex"); continue; }
      box.tabIndex = 0;
      const head = box.closest(".card")?.querySelector("h2");
      if (!box.hasAttribute("role") && head) { box.setAttribute("role", "region"); box.setAttribute("aria-label", head.textContent); }
    }
  });
  for (const box of document.querySelectorAll(".scroll")) watch.observe(box);
})();
