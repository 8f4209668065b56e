// @ts-check
// Before the first paint: the theme that was chosen here, if one was.
(() => {
  try {
    const theme = localStorage.getItem("guthi-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Without a store the system's own theme is used.
  }
})();
