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

  const UNDO_MS = 5000;
  const quick = document.getElementById("quick");
  const armed = document.getElementById("armed");

  let failed = false;
  let due = null;

  function refresh() {
    if (!document.hidden) document.body.dispatchEvent(new Event("refresh"));
  }
  setInterval(refresh, EVERY_MS);
  document.addEventListener("visibilitychange", refresh);

  // What was ticked stays ticked when the list is renewed.
  let ticked = [];
  const picks = () => [...document.querySelectorAll("input.pick")];
  document.body.addEventListener("htmx:beforeSwap", () => {
    ticked = picks().filter((pick) => pick.checked).map((pick) => pick.value);
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    picks().forEach((pick) => { pick.checked = ticked.includes(pick.value); });
    said.textContent = "Updated.";
  });
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

  function tick() {
    const row = document.activeElement.closest("tr");
    const pick = row === null ? null : row.querySelector("input.pick");
    if (pick !== null) pick.checked = !pick.checked;
  }

  function open(name) {
    const act = document.getElementById(`act-${name}`);
    if (act === null) return false;
    act.open = true;
    act.scrollIntoView({ block: "nearest" });
    if (name === "log-outreach" && quick !== null) {
      disarm();
      quick.hidden = false;
      quick.dataset.asks = "channel";
      quick.focus();
      return true;
    }
    const field = act.querySelector("select, input:not([type=hidden]), textarea, button");
    if (field) field.focus();
    return true;
  }

  // Two letters fill the form in and record it, unless that is undone within five seconds.
  function letter(key) {
    const field = document.getElementById(`log-outreach-${quick.dataset.asks}`);
    const option = [...field.options].find((one) => one.dataset.key === key);
    if (option === undefined) return false;
    field.value = option.value;
    field.dispatchEvent(new Event("change"));
    if (quick.dataset.asks === "channel") {
      quick.dataset.asks = "outcome";
      said.textContent = `${option.text}. What came of it?`;
    } else arm();
    return true;
  }

  function chosen(name) {
    return document.getElementById(`log-outreach-${name}`).selectedOptions[0].text;
  }

  function arm() {
    document.getElementById("armed-what").textContent = `${chosen("channel")}: ${chosen("outcome").toLowerCase()}`;
    armed.hidden = false;
    document.getElementById("armed-now").focus();
    said.textContent = `${armed.textContent} Enter records it now, Escape undoes it.`;
    due = setTimeout(record, UNDO_MS);
  }

  function disarm() {
    if (due === null) return false;
    clearTimeout(due);
    due = null;
    armed.hidden = true;
    return true;
  }

  function record() {
    if (disarm()) quick.closest("form").requestSubmit();
  }

  if (quick !== null) {
    document.getElementById("armed-undo").addEventListener("click", () => {
      disarm();
      said.textContent = "Not recorded.";
      quick.closest("details").querySelector("summary").focus();
    });
    quick.closest("form").addEventListener("submit", disarm);
    // Whoever leaves the page within these seconds has recorded it too.
    window.addEventListener("pagehide", () => {
      const form = quick.closest("form");
      if (disarm()) navigator.sendBeacon(form.action, new URLSearchParams(new FormData(form)));
    });
  }

  // What belongs to one choice of a field stands alone once that is chosen; without scripts all of it stands there.
  for (const field of document.querySelectorAll("select")) {
    const parts = [...document.querySelectorAll(`[data-chosen="${field.id}"]`)];
    if (field.id === "" || parts.length === 0) continue;
    const show = () => {
      parts.forEach((part) => { part.hidden = part.dataset.value !== field.value; });
      parts[0].parentElement.hidden = parts.every((part) => part.hidden);
    };
    field.addEventListener("change", show);
    show();
  }

  document.addEventListener("keydown", (event) => {
    if (due !== null && event.key === "Escape") {
      document.getElementById("armed-undo").click();
      return;
    }
    const typing = event.target.closest("input:not(.pick), select, textarea, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !keysAreOn()) return;
    if (due !== null && event.key.length === 1) return;
    if (document.activeElement === quick && letter(event.key)) {
      event.preventDefault();
      return;
    }
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "x") tick();
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
