// The page of a study, a walk-forward or a tuning; it draws with charts.js.
(() => {
  const { DATA, byId, sum, number, money, compact, when, element, niceTicks, lowerBound, nearest, path, Chart } = PLOT;
  const three = (v) => v === null ? "\u2013" : number(v, Math.abs(v) >= 100 ? 0 : 3);
  const known = (values) => values.filter((v) => v !== null);
  const ends = (values, share = 0.06) => { const low = Math.min(...values), high = Math.max(...values), pad = (high - low) * share; return [low - pad, high + pad]; };

  function axis(chart, low, high, name, whole = false) {
    const base = chart.height - chart.bottom;
    for (const tick of niceTicks(low, high, Math.max(Math.floor(chart.inner / 80), 2))) {
      const x = chart.x(tick);
      if (x < chart.left + 10 || x > chart.width - chart.right - 6 || (whole && tick % 1)) continue;
      element("line", { class: "axis", x1: x, x2: x, y1: base, y2: base + 4 }, chart.axes);
      element("text", { x, y: base + 16, "text-anchor": "middle" }, chart.axes, number(tick, 3));
    }
    element("text", { x: chart.left + chart.inner / 2, y: chart.height - 3, "text-anchor": "middle" }, chart.axes, name);
  }

  // Trials in order, the best so far, the strategy as given
  function history(spec) {
    const low = spec.floor, count = spec.value.length;
    new Chart(byId(spec.name), {
      bottom: 38,
      domain: () => [0, count + 1],
      draw() {
        const shown = known([...spec.value.map((v) => v === null ? null : Math.max(v, low)), ...spec.best, spec.given]);
        const [from, to] = ends(shown);
        this.scale(from, to, false, (v) => number(v, to - from < 0.1 ? 3 : 2));
        axis(this, 0, count + 1, spec.item, true);
        const y = (v) => this.y(Math.max(v, low)), right = this.width - this.right;
        if (spec.given !== null) element("line", { class: "given", x1: this.left, x2: right, y1: y(spec.given), y2: y(spec.given) }, this.plot);
        spec.value.forEach((v, i) => { if (v !== null) element("circle", { class: spec.kept[i] ? "trial" : "trial out", cx: this.x(i + 1), cy: y(v), r: 3 }, this.plot); });
        let text = "", before = null;
        spec.best.forEach((v, i) => { if (v !== null) { text += before === null ? `M${this.x(i + 1)} ${y(v)}` : `H${this.x(i + 1)}V${y(v)}`; before = v; } });
        if (text) element("path", { class: "account", d: text + `H${this.x(count)}` }, this.plot);
      },
      at(row) { return Math.min(Math.max(Math.round(row), 1), count) - 1; },
      mark(row) {
        const i = this.at(row), v = spec.value[i];
        this.over.replaceChildren();
        this.cross(i + 1);
        if (v !== null) this.dot(i + 1, Math.max(v, low), "--accent");
      },
      read(row) {
        const i = this.at(row);
        return { title: `${spec.item} ${i + 1}`, lines: [[spec.metric, three(spec.value[i])], ["best so far", three(spec.best[i])], [spec.baseline, three(spec.given)], ...(spec.why[i] ? [["", spec.why[i]]] : [])] };
      },
    });
  }

  // Lines over time, which zoom and point together
  const timed = [];
  function lines(spec) {
    const rows = sum(spec.row), times = sum(spec.time), classes = ["account", "bench"], colours = ["--accent", "--bench"];
    const say = (v) => v === null ? "\u2013" : spec.unit === "percent" ? number(100 * v, 1) + " %" : spec.unit === "number" ? three(v) : money(v);
    const chart = new Chart(byId(spec.name), {
      draw() {
        const from = Math.max(lowerBound(rows, this.span[0]) - 1, 0), to = Math.min(lowerBound(rows, this.span[1]) + 1, rows.length);
        const shown = known(spec.lines.flatMap((line) => line.values.slice(from, to)));
        this.scale(...ends(shown, 0.04), false, spec.unit === "percent" ? (v) => number(100 * v, 1) + " %" : compact);
        this.labels(rows, times);
        for (const at of spec.folds || []) element("line", { class: "fold", x1: this.x(at), x2: this.x(at), y1: this.top, y2: this.height - this.bottom }, this.plot);
        if (spec.level !== undefined) element("line", { class: "zero", x1: this.left, x2: this.width - this.right, y1: this.y(spec.level), y2: this.y(spec.level) }, this.plot);
        [...spec.lines.keys()].reverse().forEach((i) => element("path", { class: classes[i], d: path(this, spec.lines[i].values, from, to, rows) }, this.plot));
      },
      mark(row) {
        const i = nearest(row, rows);
        this.over.replaceChildren();
        this.cross(rows[i]);
        [...spec.lines.keys()].reverse().forEach((k) => this.dot(rows[i], spec.lines[k].values[i], colours[k]));
      },
      read(row) { const i = nearest(row, rows); return { title: when(times[i]), lines: spec.lines.map((line) => [line.name, say(line.values[i])]) }; },
    });
    timed.push(chart);
  }

  // Points over two figures: several objectives
  function points(spec) {
    const wide = ends(spec.points.map((p) => p[0]));
    new Chart(byId(spec.name), {
      bottom: 38,
      domain: () => wide,
      draw() {
        this.scale(...ends(spec.points.map((p) => p[1])), false, (v) => number(v, 2));
        axis(this, ...wide, spec.across);
        for (const [x, y, front] of spec.points) element("circle", { class: front ? "trial front" : "trial", cx: this.x(x), cy: this.y(y), r: front ? 4.5 : 3 }, this.plot);
      },
      closest(row, inner) {
        let best = spec.points[0], least = Infinity;
        for (const p of spec.points) {
          const d = Math.hypot(this.x(p[0]) - this.x(row), inner === undefined ? 0 : this.y(p[1]) - inner);
          if (d < least) { least = d; best = p; }
        }
        return best;
      },
      mark(row, inner) { const p = this.closest(row, inner); this.over.replaceChildren(); this.dot(p[0], p[1], "--ink"); },
      read(row, inner) { const p = this.closest(row, inner); return { title: p[3], lines: [[spec.across, three(p[0])], [spec.up, three(p[1])]] }; },
    });
  }

  for (const spec of DATA.charts) ({ history, lines, points })[spec.draw](spec);
  for (const chart of timed) chart.partners = timed.filter((other) => other !== chart);
})();
