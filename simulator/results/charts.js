"use strict";
// What reports draw with: text, scales, a chart.
const PLOT = (() => {
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const byId = (id) => document.getElementById(id);
  const sum = (steps) => { let at = 0; return steps.map((step) => (at += step)); };
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  // Text ----------------------------------------------------------------------------------------------------
  const minus = (text) => text.replace("-", "\u2212");
  const money = (value) => value === null ? "\u2013" : minus(value.toLocaleString("en-US", { minimumFractionDigits: DATA.currency_digits, maximumFractionDigits: DATA.currency_digits }));
  const percent = (value, digits = 1) => value === null ? "\u2013" : minus((100 * value).toFixed(digits) + " %");
  const number = (value, digits = 2) => value === null ? "\u2013" : minus(value.toLocaleString("en-US", { maximumFractionDigits: digits }));
  const compact = (value) => minus(value.toLocaleString("en-US", { notation: "compact", maximumFractionDigits: 2 }));
  // Percent with as many digits as the ticks of a scale so wide need; a plain 0 at its end.
  const percentTicks = (span) => (value) => percent(value, value === 0 || span >= 0.12 ? 0 : span >= 0.01 ? 1 : 2);
  const when = (seconds, intraday = !DATA.daily) => {
    const text = new Date(seconds * 1000).toISOString();
    return intraday ? text.slice(0, 16).replace("T", " ") : text.slice(0, 10);
  };

  function element(name, attributes = {}, parent = null, text = null) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  }

  const bubble = byId("bubble");
  function showBubble(title, lines, x, y) {
    bubble.replaceChildren();
    const head = document.createElement("b");
    head.textContent = title;
    bubble.append(head);
    for (const [name, value] of lines) {
      const line = document.createElement("div"), left = document.createElement("span"), right = document.createElement("span");
      left.textContent = name;
      right.textContent = value;
      line.append(left, right);
      bubble.append(line);
    }
    bubble.hidden = false;
    const box = bubble.getBoundingClientRect();
    const left = x + 16 + box.width > innerWidth ? x - box.width - 16 : x + 16;
    bubble.style.left = clamp(left, 4, Math.max(innerWidth - box.width - 4, 4)) + "px";
    bubble.style.top = clamp(y - box.height - 12, 4, innerHeight - box.height - 4) + "px";
  }
  const hideBubble = () => { bubble.hidden = true; };

  // Scales --------------------------------------------------------------------------------------------------
  function niceTicks(low, high, count) {
    const raw = (high - low) / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(raw || 1));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw) || power;
    const ticks = [];
    for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) ticks.push(Math.abs(tick) < step * 1e-9 ? 0 : tick);
    return ticks;
  }
  function logTicks(low, high) {
    const ticks = [];
    for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10)
      for (const m of [1, 2, 5]) if (m * power >= low && m * power <= high) ticks.push(m * power);
    return ticks.length > 1 ? ticks : niceTicks(low, high, 4);
  }
  // Labels at the first point of a year, quarter, month or day: the finest unit that has room.
  function timeTicks(times, first, last, room) {
    const keys = [
      (d) => Math.floor(d.getUTCFullYear() / 5), (d) => Math.floor(d.getUTCFullYear() / 2), (d) => d.getUTCFullYear(),
      (d) => d.getUTCFullYear() * 4 + Math.floor(d.getUTCMonth() / 3), (d) => d.getUTCFullYear() * 12 + d.getUTCMonth(),
      (d) => Math.floor((d.getTime() / 864e5 + 3) / 7), (d) => Math.floor(d.getTime() / 864e5), (d) => Math.floor(d.getTime() / 36e5),
    ];
    let chosen = [];
    for (let unit = 0; unit < keys.length; unit++) {
      const ticks = [];
      let before = null;
      for (let i = first; i <= last; i++) {
        const key = keys[unit](new Date(times[i] * 1000));
        if (before !== null && key !== before) ticks.push([i, unit]);
        before = key;
      }
      if (ticks.length > room) break;
      if (ticks.length >= chosen.length) chosen = ticks;
    }
    return chosen.map(([i, unit]) => {
      const text = new Date(times[i] * 1000).toISOString();
      const month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][+text.slice(5, 7) - 1];
      const label = unit <= 2 ? text.slice(0, 4) : unit <= 4 ? (month === "Jan" ? text.slice(0, 4) : month) : unit <= 6 ? `${+text.slice(8, 10)} ${month}` : text.slice(11, 16);
      return [i, label];
    });
  }
  // First index whose value is at least `value`.
  function lowerBound(values, value) {
    let low = 0, high = values.length;
    while (low < high) { const middle = (low + high) >> 1; if (values[middle] < value) low = middle + 1; else high = middle; }
    return low;
  }

  const charts = [];
  // A chart over bar rows: axes, zoom, crosshair; `draw` paints, `read` describes the point under the pointer.
  class Chart {
    constructor(host, options) {
      Object.assign(this, { host, bottom: 22, left: 8, right: 62, top: 10, view: null, partners: [] }, options);
      this.svg = element("svg", { "aria-hidden": "true" });
      host.append(this.svg);
      charts.push(this);
      new ResizeObserver(() => this.render()).observe(host);
      host.addEventListener("pointermove", (event) => this.move(event));
      host.addEventListener("pointerleave", () => { if (!this.drag) this.leave(); });
      host.addEventListener("pointerdown", (event) => { if (event.pointerType !== "touch" && event.button === 0 && !this.domain) { this.drag = this.inside(event); host.setPointerCapture(event.pointerId); event.preventDefault(); host.focus({ preventScroll: true }); } });
      host.addEventListener("pointerup", (event) => this.drop(event));
      host.addEventListener("dblclick", () => this.zoom(null));
      host.addEventListener("blur", () => this.leave());
      host.addEventListener("keydown", (event) => this.key(event));
    }
    // `domain` gives the ends of an axis that is no time; such a chart does not zoom
    get span() { return this.view || (this.domain ? this.domain() : [0, Math.max(DATA.rows - 1, 1)]); }
    x(row) { const [first, last] = this.span; return this.left + (row - first) / (last - first) * this.inner; }
    row(x) { const [first, last] = this.span; return first + clamp((x - this.left) / this.inner, 0, 1) * (last - first); }
    inside(event) { return event.clientX - this.host.getBoundingClientRect().left; }
    zoom(view, told = false) {
      this.view = view;
      if (this.reset) this.reset.disabled = view === null;
      this.leave();
      this.render();
      if (!told) for (const partner of this.partners) partner.zoom(view, true);
    }
    drop(event) {
      if (this.drag === undefined || this.drag === null) return;
      const from = this.drag, to = this.inside(event);
      this.drag = null;
      if (this.selection) this.selection.remove();
      this.selection = null;
      if (Math.abs(to - from) > 6) {
        const [a, b] = [this.row(Math.min(from, to)), this.row(Math.max(from, to))];
        const middle = (a + b) / 2, half = Math.max((b - a) / 2, 4);
        this.zoom([Math.max(middle - half, 0), Math.min(middle + half, Math.max(DATA.rows - 1, 1))]);
      }
    }
    move(event) {
      const x = this.inside(event);
      if (this.drag !== undefined && this.drag !== null) {
        if (!this.selection) this.selection = element("rect", { class: "select", y: this.top, height: this.height - this.top - this.bottom }, this.svg);
        this.selection.setAttribute("x", Math.min(x, this.drag));
        this.selection.setAttribute("width", Math.abs(x - this.drag));
      }
      this.point(this.row(x), event.clientX, event.clientY, event.clientY - this.host.getBoundingClientRect().top);
    }
    point(row, x, y, inner) {
      this.cursor = row;
      for (const chart of [this, ...this.partners]) chart.mark(row, inner);
      const told = this.read(row, inner);
      if (told) showBubble(told.title, told.lines, x, y); else hideBubble();
    }
    key(event) {
      if (event.key === "Escape") { this.zoom(null); return; }
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const [first, last] = this.span, size = Math.max((last - first) / 200, this.domain ? 0 : 1) * (event.shiftKey ? 10 : 1);
      const row = clamp((this.cursor ?? last) + step * size, first, last), box = this.host.getBoundingClientRect();
      this.point(row, box.left + this.x(row), box.top + 40);
    }
    leave() { this.cursor = null; hideBubble(); for (const chart of [this, ...this.partners]) if (chart.over) chart.over.replaceChildren(); }
    render(width = this.host.clientWidth, height = this.host.clientHeight) {
      this.width = width;
      this.height = height;
      if (!this.width) return;
      this.inner = this.width - this.left - this.right;
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
      this.svg.style.height = this.height + "px";
      this.svg.replaceChildren();
      const clip = element("clipPath", { id: this.host.id + "-clip" }, this.svg);
      element("rect", { x: this.left, y: 0, width: this.inner, height: this.height - this.bottom + 1 }, clip);
      this.axes = element("g", {}, this.svg);
      this.plot = element("g", { "clip-path": `url(#${this.host.id}-clip)` }, this.svg);
      this.draw();
      this.over = element("g", {}, this.svg);
    }
    scale(low, high, log, format) {
      if (!(high > low)) { const pad = Math.abs(high) * 0.01 || 1; low -= pad; high += pad; }
      const f = log ? Math.log : (v) => v, a = f(low), b = f(high), base = this.height - this.bottom;
      this.y = (value) => base - (f(value) - a) / (b - a) * (base - this.top);
      const ticks = log ? logTicks(low, high) : niceTicks(low, high, Math.max(Math.floor(this.height / 62), 3));
      for (const tick of ticks) {
        const y = this.y(tick);
        element("line", { class: "grid", x1: this.left, x2: this.width - this.right, y1: y, y2: y }, this.axes);
        element("text", { x: this.width - this.right + 8, y: y + 4 }, this.axes, format(tick));
      }
    }
    labels(rows, times) {
      const [first, last] = this.span, from = lowerBound(rows, first), to = Math.max(lowerBound(rows, last + 1e-9) - 1, from);
      let edge = -Infinity;
      for (const [i, label] of timeTicks(times, from, Math.min(to, rows.length - 1), Math.max(Math.floor(this.inner / 62), 2))) {
        const x = this.x(rows[i]);
        if (x < this.left + 14 || x > this.width - this.right - 8 || x - edge < 40) continue;
        edge = x;
        element("line", { class: "axis", x1: x, x2: x, y1: this.height - this.bottom, y2: this.height - this.bottom + 4 }, this.axes);
        element("text", { x, y: this.height - 5, "text-anchor": "middle" }, this.axes, label);
      }
    }
    cross(row) {
      const x = this.x(row);
      element("line", { class: "cross", x1: x, x2: x, y1: this.top, y2: this.height - this.bottom }, this.over);
    }
    dot(row, value, color) { if (value !== null) element("circle", { class: "dot", cx: this.x(row), cy: this.y(value), r: 4, style: `fill:var(${color})` }, this.over); }
  }

  // Index of the row of `at` that is nearest to `row`.
  const nearest = (row, at) => { const i = clamp(lowerBound(at, row), 0, at.length - 1); return i > 0 && row - at[i - 1] < at[i] - row ? i - 1 : i; };
  // Path through the values of rows from `from` to before `to`; a gap where one is unknown.
  function path(chart, values, from, to, at) {
    let text = "", pen = "M";
    for (let i = from; i < to; i++) {
      if (values[i] === null) { pen = "M"; continue; }
      text += pen + chart.x(at[i]).toFixed(1) + " " + chart.y(values[i]).toFixed(1);
      pen = "L";
    }
    return text;
  }

  // Paper ---------------------------------------------------------------------------------------------------
  // A sheet is narrower than a window, and layout observers sleep while it is printed: charts are drawn anew
  // for it, in units of CSS pixels between the margins of A4 (Letter is 3 % wider, and stretches them so).
  const PAPER = 703, GAP = 28;
  addEventListener("beforeprint", () => { for (const chart of charts) chart.render(chart.host.closest(".charts:not(.alone)") ? (PAPER - GAP) / 2 : PAPER, chart.host.clientHeight * 0.74); });
  addEventListener("afterprint", () => { for (const chart of charts) chart.render(); });
  return { DATA, byId, sum, clamp, minus, money, percent, number, compact, percentTicks, when, element, niceTicks, lowerBound, nearest, path, Chart };
})();
