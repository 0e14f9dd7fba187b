"use strict";
(() => {
  const theme = document.getElementById("theme");
  theme.addEventListener("change", () => {
    if (theme.value) document.documentElement.dataset.theme = theme.value;
    else delete document.documentElement.dataset.theme;
  });

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));

  const form = document.getElementById("filter");
  if (!form) return;
  const STEP = 200;  // Thousands of rows at once would make a browser think.
  const shown = document.getElementById("shown");
  const more = document.getElementById("more");
  const whole = shown.textContent;
  const rows = [...document.getElementById("rows").rows].map((row) => {
    const [severity, rule, batch, message] = [...row.cells].map((cell) => cell.textContent);
    return { row, severity, rule, batch: batch.toLowerCase(), text: `${severity} ${rule} ${batch} ${message}`.toLowerCase() };
  });
  let limit = STEP;

  const apply = () => {
    const { rule, severity, batch, text } = Object.fromEntries(new FormData(form));
    const [id, words] = [batch.trim().toLowerCase(), text.toLowerCase().split(/\s+/).filter(Boolean)];
    let found = 0;
    for (const each of rows) {
      const fits = (!rule || each.rule === rule) && (!severity || each.severity === severity)
        && each.batch.includes(id) && words.every((word) => each.text.includes(word));
      found += fits;
      each.row.hidden = !fits || found > limit;
    }
    const isWhole = !rule && !severity && !id && !words.length;
    const count = `${found.toLocaleString("en")} of ${rows.length.toLocaleString("en")} listed findings`;
    shown.textContent = (isWhole ? whole : `${count} ${found === 1 ? "fits" : "fit"}.`)
      + (found > limit ? ` Shown: the first ${limit.toLocaleString("en")}.` : "");
    more.hidden = found <= limit;
  };
  const again = () => { limit = STEP; apply(); };
  let waiting;
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(again, 80); });
  form.addEventListener("reset", () => setTimeout(again));
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => { limit += 5 * STEP; apply(); });
  addEventListener("beforeprint", () => { const before = limit; limit = Infinity; apply(); limit = before; });
  addEventListener("afterprint", apply);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-rule]");
    if (!link) return;
    form.reset();
    form.elements.rule.value = link.dataset.rule;
    form.elements.batch.value = link.dataset.batch ?? "";
    clearTimeout(waiting);
    setTimeout(again);
  });
  form.hidden = false;
  apply();
})();
