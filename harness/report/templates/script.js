"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const $ = (id) => document.getElementById(id);
  const groups = [...document.querySelectorAll("#matrix .fn")].map((body) => ({
    body,
    own: body.dataset.s.toLowerCase(),
    folds: [...body.querySelectorAll(".fold")],
    rows: [...body.querySelectorAll(".va, .one")].map((row) => ({
      row,
      text: row.firstElementChild.textContent.toLowerCase(),
      verdicts: [...row.querySelectorAll("td")].map((cell) => cell.dataset.v.split(" ")),
    })),
  }));
  const files = [...document.querySelectorAll("#matrix .file")];
  const columns = document.head.appendChild(document.createElement("style"));
  const BAD = ["fail", "error", "xpass", "differs"];

  function matches(verdicts, wanted, shown) {
    const seen = verdicts.filter((_, number) => shown.has(number));
    if (!wanted) return true;
    if (wanted === "bad") return seen.flat().some((verdict) => BAD.includes(verdict));
    if (wanted === "differs") return new Set(seen.map((verdict) => verdict[0])).size > 1;
    return seen.some((verdict) => verdict[0] === wanted);
  }

  function apply() {
    const words = $("q").value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = $("verdict").value;
    const boxes = [...document.querySelectorAll(".vmm")];
    const shown = new Set(boxes.filter((box) => box.checked).map((box) => Number(box.value)));
    columns.textContent = boxes
      .filter((box) => !box.checked)
      .map((box) => `#matrix tr > :nth-child(${Number(box.value) + 2}) { display: none; }`)
      .join("\n");
    const narrowed = words.length > 0 || wanted !== "";
    let count = 0;
    for (const group of groups) {
      let any = 0;
      const folds = new Set();
      for (const { row, text, verdicts } of group.rows) {
        const hit = words.every((word) => group.own.includes(word) || text.includes(word));
        const keep = hit && matches(verdicts, wanted, shown);
        row.classList.toggle("hide", !keep);
        any += keep;
        if (keep) folds.add(Number(row.dataset.f));
      }
      count += any;
      group.body.classList.toggle("hide", !any);
      group.folds.forEach((fold, number) => fold.classList.toggle("hide", !folds.has(number)));
      open(group.body, narrowed ? any < group.rows.length : $("expand").getAttribute("aria-pressed") === "true");
    }
    for (const file of files) {
      let next = file.nextElementSibling, any = false;
      for (; next && next.classList.contains("fn"); next = next.nextElementSibling) any ||= !next.classList.contains("hide");
      file.classList.toggle("hide", !any);
    }
    $("shown").textContent = narrowed ? `${count} shown` : `${count} tests`;
  }

  function open(body, yes) {
    body.classList.toggle("open", yes);
    body.querySelector(".more")?.setAttribute("aria-expanded", String(yes));
  }

  function reveal() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const details = target.matches("details") ? target : target.querySelector("details");
    if (details) details.open = true;
    target.scrollIntoView();
  }

  function step(by) {
    const failures = [...document.querySelectorAll(".failure")];
    if (!failures.length) return;
    const here = failures.findIndex((failure) => "#" + failure.id === location.hash);
    const next = here < 0 ? (by > 0 ? 0 : failures.length - 1) : (here + by + failures.length) % failures.length;
    location.hash = failures[next].id;
    failures[next].querySelector("summary").focus({ preventScroll: true });
  }

  document.querySelector(".filters").addEventListener("input", apply);
  document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
  $("expand").addEventListener("click", (event) => {
    const on = event.target.getAttribute("aria-pressed") !== "true";
    event.target.setAttribute("aria-pressed", String(on));
    apply();
  });
  $("matrix").addEventListener("click", (event) => {
    const button = event.target.closest(".more");
    if (button) open(button.closest(".fn"), !button.closest(".fn").classList.contains("open"));
  });
  document.addEventListener("click", async (event) => {
    if (!event.target.matches(".copy")) return;
    const code = event.target.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      event.target.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
    }
  });
  // A line of a timeline shows the pairs as they stood then: what guest and host had said last, and the frames until then.
  function rewind(line) {
    const failure = line.closest(".failure");
    const table = failure.querySelector(".pairs");
    if (!table) return;
    const until = Number(line.dataset.at);
    const past = JSON.parse(table.dataset.moments).filter(([at]) => at <= until);
    if (!past.length) return;
    const last = (guest) => past.filter(([, source, n]) => n !== null && (source === "guest") === guest).at(-1)?.[2];
    const [guest, host] = [last(true), last(false)];
    const said = (count, pair) => (count === undefined ? "—" : pair < count ? "active" : "inactive");
    for (const row of table.tBodies[0].rows) {
      const pair = Number(row.cells[0].textContent);
      const frames = past.reduce((sum, [, , , on, n]) => sum + (on === pair ? n : 0), 0);
      row.cells[1].textContent = said(guest, pair);
      row.cells[2].textContent = said(host, pair);
      row.cells[3].textContent = frames;
      const wrong = guest !== undefined && ((host !== undefined && (pair < guest) !== (pair < host)) || (pair >= guest && frames > 0));
      row.classList.toggle("wrong", wrong);
    }
    failure.querySelector(".when").textContent = `as told and counted until ${until.toFixed(4)} s`;
    failure.querySelector(".timeline .now")?.classList.remove("now");
    line.classList.add("now");
  }

  // Two builds' runs of one test in two columns, until it is asked for again.
  function beside(button) {
    const mine = button.closest(".failure"), other = $(button.dataset.other);
    const shown = mine.closest(".both");
    if (shown) { shown.replaceWith(...shown.children); return; }
    const both = document.createElement("div");
    both.className = "both";
    mine.before(both);
    both.append(mine, other);
    mine.open = other.open = true;
  }

  document.addEventListener("click", (event) => {
    const line = event.target.closest(".timeline [data-at]");
    if (line) rewind(line);
    if (event.target.matches("button.beside")) beside(event.target);
  });
  document.addEventListener("change", (event) => {
    if (!event.target.matches("input.log")) return;
    for (const lines of event.target.closest(".failure").querySelectorAll(".timeline")) lines.classList.toggle("all", event.target.checked);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape" && event.target === $("q")) { $("q").value = ""; apply(); $("q").blur(); }
    else if (typing) return;
    else if (event.key === "/") { event.preventDefault(); $("q").focus(); }
    else if (event.key === "n") step(1);
    else if (event.key === "p") step(-1);
  });
  addEventListener("hashchange", reveal);
  apply();
  reveal();
})();
