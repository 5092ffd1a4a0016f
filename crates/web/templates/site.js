// Runs in the head of every page, before anything is drawn: the theme that was chosen, and the shortcut `/`.
(() => {
  const root = document.documentElement, states = ["system", "light", "dark"];
  const read = () => { try { return localStorage.getItem("theme") } catch { return null } };
  let state = states.includes(read()) ? read() : "system";
  const show = () => state === "system" ? root.removeAttribute("data-theme") : root.setAttribute("data-theme", state);
  show();
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => { button.textContent = "Theme: " + state };
    label();
    button.hidden = false;
    button.addEventListener("click", () => {
      state = states[(states.indexOf(state) + 1) % states.length];
      try { localStorage.setItem("theme", state) } catch { /* then for this page only */ }
      show();
      label();
    });
    addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable) return;
      const field = document.getElementById("q");
      event.preventDefault();
      field.focus();
      field.select();
    });
  });
})();
