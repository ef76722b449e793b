// Keeps the live part fresh while the page is looked at, and gives the keyboard its keys.
// Everything here is an extra: pages read and forms work without it.
"use strict";

(() => {
  const EVERY_MS = 2000;
  const KEYS_OFF = "bridge-keys-off";
  const LETTERS = { o: "log-outreach", a: "assign", d: "set-next-action", n: "note" };
  const said = document.getElementById("said");
  const help = document.getElementById("help");
  const keysOn = document.getElementById("keys-on");

  let failed = false;

  function refresh() {
    if (!document.hidden) document.body.dispatchEvent(new Event("refresh"));
  }
  setInterval(refresh, EVERY_MS);
  document.addEventListener("visibilitychange", refresh);

  document.body.addEventListener("htmx:afterSwap", () => { said.textContent = "Updated."; });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    const ok = event.detail.successful;
    if (ok === !failed) return;
    failed = !ok;
    document.body.classList.toggle("offline", failed);
    said.textContent = failed ? "Bridge cannot be reached. What you see is not updated." : "Connected again.";
  });

  function keysAreOn() {
    return localStorage.getItem(KEYS_OFF) === null;
  }

  function step(by) {
    const rows = [...document.querySelectorAll("a.row")];
    if (rows.length === 0) return;
    const at = rows.indexOf(document.activeElement);
    const to = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
    rows[to].focus();
    rows[to].scrollIntoView({ block: "nearest" });
  }

  function open(name) {
    const act = document.getElementById(`act-${name}`);
    if (act === null) return false;
    act.open = true;
    act.scrollIntoView({ block: "nearest" });
    const field = act.querySelector("select, input:not([type=hidden]), textarea, button");
    if (field) field.focus();
    return true;
  }

  // What belongs to one choice of a field stands alone once that is chosen; without scripts all of it stands there.
  for (const field of document.querySelectorAll("select")) {
    const parts = [...document.querySelectorAll(`[data-chosen="${field.id}"]`)];
    if (field.id === "" || parts.length === 0) continue;
    const show = () => parts.forEach((part) => { part.hidden = part.dataset.value !== field.value; });
    field.addEventListener("change", show);
    show();
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !keysAreOn()) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "/") document.getElementById("q").focus();
    else if (event.key === "?") help.showModal();
    else if (event.key === "u") window.location.assign("/");
    else if (!(event.key in LETTERS && open(LETTERS[event.key]))) return;
    event.preventDefault();
  });

  const opener = document.getElementById("help-open");
  opener.hidden = false;
  opener.addEventListener("click", () => help.showModal());
  keysOn.checked = keysAreOn();
  keysOn.addEventListener("change", () => {
    if (keysOn.checked) localStorage.removeItem(KEYS_OFF);
    else localStorage.setItem(KEYS_OFF, "1");
  });

  const error = document.getElementById("error");
  if (error) error.focus();
})();
