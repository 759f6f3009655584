// The page of a run; it draws with charts.js.
(() => {
  const { DATA, byId, sum, clamp, minus, money, percent, number, compact, percentTicks, when, element, niceTicks, lowerBound, Chart } = PLOT;
  // Equity and drawdown -------------------------------------------------------------------------------------
  const curves = DATA.curves, rows = sum(curves.row), times = sum(curves.time);
  const visible = (chart, at = rows) => [Math.max(lowerBound(at, chart.span[0]) - 1, 0), Math.min(lowerBound(at, chart.span[1]) + 1, at.length)];
  const nearest = (row, at = rows) => PLOT.nearest(row, at);
  const path = (chart, values, from, to, at = rows) => PLOT.path(chart, values, from, to, at);
  function readCurve(row) {
    const i = nearest(row);
    return { title: when(times[i]), lines: [["account", money(curves.equity[i])], ["benchmark", money(curves.benchmark[i])], ["drawdown", percent(curves.drawdown[i], 2)]] };
  }
  if (rows.length) {
    const equity = new Chart(byId("equity-chart"), {
      reset: byId("reset-equity"),
      draw() {
        const [from, to] = visible(this);
        const shown = [...curves.equity.slice(from, to), ...curves.benchmark.slice(from, to)].filter((v) => v !== null);
        const low = Math.min(...shown), high = Math.max(...shown), log = byId("log").checked && low > 0, pad = (high - low) * 0.04;
        this.scale(log ? low * 0.98 : low - pad, log ? high * 1.02 : high + pad, log, compact);
        this.labels(rows, times);
        const line = path(this, curves.equity, from, to), base = this.height - this.bottom;
        if (to > from) element("path", { class: "under", d: `${line}L${this.x(rows[to - 1])} ${base}L${this.x(rows[from])} ${base}Z` }, this.plot);
        element("path", { class: "bench", d: path(this, curves.benchmark, from, to) }, this.plot);
        element("path", { class: "account", d: line }, this.plot);
      },
      mark(row) {
        const i = nearest(row);
        this.over.replaceChildren();
        this.cross(rows[i]);
        this.dot(rows[i], curves.benchmark[i], "--bench");
        this.dot(rows[i], curves.equity[i], "--accent");
      },
      read: readCurve,
    });
    const drawdown = new Chart(byId("drawdown-chart"), {
      draw() {
        const [from, to] = visible(this);
        const low = Math.min(...curves.drawdown.slice(from, to), -0.001) * 1.06;
        this.scale(low, 0, false, percentTicks(-low));
        this.labels(rows, times);
        if (to > from) element("path", { class: "deep", d: `M${this.x(rows[from])} ${this.y(0)}L${path(this, curves.drawdown, from, to).slice(1)}L${this.x(rows[to - 1])} ${this.y(0)}Z` }, this.plot);
      },
      mark(row) { const i = nearest(row); this.over.replaceChildren(); this.cross(rows[i]); this.dot(rows[i], curves.drawdown[i], "--down"); },
      read: readCurve,
    });
    const all = [equity, drawdown, ...exposureCharts()];
    for (const chart of all) chart.partners = all.filter((other) => other !== chart);
    byId("log").addEventListener("change", () => equity.render());
    for (const name of ["reset-equity", "reset-exposure"]) byId(name).addEventListener("click", () => equity.zoom(null));
  }

  // Heat and Greeks through time: one small chart each, which zoom and point with the equity
  function exposureCharts() {
    const risk = DATA.exposure, at = risk.row ? sum(risk.row) : rows, time = risk.time ? sum(risk.time) : times;
    const short = (v) => v === null ? "\u2013" : compact(v);
    const named = { heat: ["heat", (v) => percent(v, 2)], delta: ["delta", (v) => number(v, 1)], beta_dollar_delta: ["dollar delta", short], gamma: ["gamma", (v) => number(v, 2)], theta: ["theta", (v) => number(v, 0)], vega: ["vega", (v) => number(v, 0)] };
    const known = { heat: risk.heat, ...risk.greeks }, series = Object.fromEntries(Object.keys(named).filter((name) => known[name]).map((name) => [name, known[name]]));
    const read = (row) => { const i = nearest(row, at); return { title: when(time[i]), lines: Object.entries(series).map(([name, values]) => [named[name][0], named[name][1](values[i])]) }; };
    return Object.entries(series).map(([name, values]) => new Chart(byId(name + "-chart"), {
      reset: byId("reset-exposure"),
      draw() {
        const [from, to] = visible(this, at), shown = values.slice(from, to).filter((v) => v !== null), heat = name === "heat";
        let low = Math.min(0, ...shown), high = Math.max(0, ...shown, heat && risk.limit !== null ? risk.limit : 0);
        if (!(high > low)) high = heat ? 0.01 : 1;
        const pad = (high - low) * 0.06;
        this.scale(low < 0 ? low - pad : low, high > 0 ? high + pad : high, false, heat ? percentTicks(high) : compact);
        this.labels(at, time);
        const zero = this.y(0);
        element("line", { class: "zero", x1: this.left, x2: this.width - this.right, y1: zero, y2: zero }, this.plot);
        if (heat && risk.limit !== null) element("line", { class: "limit", x1: this.left, x2: this.width - this.right, y1: this.y(risk.limit), y2: this.y(risk.limit) }, this.plot);
        for (const [a, b] of runs(values, from, to)) element("path", { class: "under", d: `M${this.x(at[a])} ${zero}L${path(this, values, a, b, at).slice(1)}L${this.x(at[b - 1])} ${zero}Z` }, this.plot);
        element("path", { class: "account thin", d: path(this, values, from, to, at) }, this.plot);
      },
      mark(row) { const i = nearest(row, at); this.over.replaceChildren(); this.cross(at[i]); this.dot(at[i], values[i], "--accent"); },
      read,
    }));
  }
  // Stretches without a gap.
  function runs(values, from, to) {
    const found = [];
    for (let i = from; i < to; i++) {
      if (values[i] === null) continue;
      if (found.length && found[found.length - 1][1] === i) found[found.length - 1][1] = i + 1; else found.push([i, i + 1]);
    }
    return found;
  }

  // Prices and trades ---------------------------------------------------------------------------------------
  const FIELDS = ["id", "chart", "symbol", "side", "from", "to", "entry", "exit", "stop", "qty", "pnl", "r", "mae", "mfe", "bars", "reason", "tag", "opened", "closed", "from_level", "to_level"];
  const trades = DATA.trades.map((values) => Object.fromEntries(FIELDS.map((name, i) => [name, values[i]])));
  const k = DATA.prices.k, priceTimes = sum(DATA.prices.time);
  const unpacked = new Map();
  function candles(index) {
    if (!unpacked.has(index)) {
      const packed = DATA.prices.symbols[index], unit = 10 ** -packed.digits;
      const at = packed.at ? sum(packed.at) : packed.close.map((_, i) => i), close = sum(packed.close);
      const open = close.map((_, i) => packed.open[i] + (i ? close[i - 1] : 0));
      unpacked.set(index, {
        at: at.map((i) => i * k), time: at.map((i) => priceTimes[i]), digits: packed.digits,
        open: open.map((v) => v * unit), close: close.map((v) => v * unit),
        high: close.map((v, i) => (Math.max(v, open[i]) + packed.high[i]) * unit), low: close.map((v, i) => (Math.min(v, open[i]) - packed.low[i]) * unit),
      });
    }
    return unpacked.get(index);
  }
  const fixed = (value, digits) => value === null ? "\u2013" : minus(value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  const priceText = (value) => fixed(value, Math.abs(value) >= 1 ? 2 : 5);
  let prices = null;
  const select = byId("symbol");
  DATA.prices.symbols.forEach((symbol, i) => select.append(new Option(symbol.name, String(i))));
  if (DATA.prices.symbols.length) {
    prices = new Chart(byId("price-chart"), {
      reset: byId("reset-prices"),
      symbol: 0,
      chosen: null,
      draw() {
        const c = candles(this.symbol), [first, last] = this.span;
        const from = Math.max(lowerBound(c.at, first) - 1, 0), to = Math.min(lowerBound(c.at, last) + 1, c.at.length);
        const mine = trades.filter((t) => t.chart === this.symbol && t.to >= first && t.from <= last);
        const levels = [...c.low.slice(from, to), ...c.high.slice(from, to), ...mine.map((t) => t.from_level), ...mine.map((t) => t.to_level)];
        const low = Math.min(...levels), high = Math.max(...levels);
        // a wide range hides its early part unless the scale is logarithmic
        const log = low > 0 && high / low > 4, pad = (high - low) * 0.05;
        this.scale(log ? low * 0.94 : low - pad, log ? high * 1.06 : high + pad, log, (v) => number(v, Math.abs(v) >= 10 ? 1 : 4));
        this.labels(c.at, c.time);
        const room = this.inner / Math.max(to - from, 1);
        if (room >= 4) this.drawCandles(c, from, to, room); else this.drawLine(c, from, to);
        this.spots = mine.map((t) => this.drawTrade(t, mine.length));
      },
      drawLine(c, from, to) {
        let line = "", upper = "", lower = "";
        for (let i = from; i < to; i++) {
          const x = this.x(c.at[i]).toFixed(1);
          line += `${i > from ? "L" : "M"}${x} ${this.y(c.close[i]).toFixed(1)}`;
          upper += `${i > from ? "L" : "M"}${x} ${this.y(c.high[i]).toFixed(1)}`;
          lower = `L${x} ${this.y(c.low[i]).toFixed(1)}` + lower;
        }
        element("path", { class: "reach", d: upper + lower + "Z" }, this.plot);
        element("path", { class: "price", d: line }, this.plot);
      },
      drawCandles(c, from, to, room) {
        const width = clamp(room * 0.62, 1.5, 14);
        for (let i = from; i < to; i++) {
          const x = this.x(c.at[i]), up = c.close[i] >= c.open[i], a = this.y(Math.max(c.open[i], c.close[i])), b = this.y(Math.min(c.open[i], c.close[i]));
          element("line", { class: "wick", x1: x, x2: x, y1: this.y(c.high[i]), y2: this.y(c.low[i]) }, this.plot);
          element("rect", { class: `body ${up ? "rise" : "fall"}`, x: x - width / 2, y: a, width, height: Math.max(b - a, 1) }, this.plot);
        }
      },
      drawTrade(t, count) {
        const xa = this.x(t.from), ya = this.y(t.from_level), xb = this.x(t.to), yb = this.y(t.to_level), tone = t.pnl >= 0 ? "win" : "loss", size = clamp(this.inner / Math.max(count, 1) * 0.7, 3, 5.5);
        element("line", { class: `way ${tone}`, x1: xa, y1: ya, x2: xb, y2: yb }, this.plot);
        const up = t.side > 0 ? 1 : -1;
        element("path", { class: "in", d: `M${xa} ${ya - up * size}l${size} ${up * size * 1.8}h${-2 * size}Z` }, this.plot);
        element("circle", { class: `out ${tone}`, cx: xb, cy: yb, r: size - 1 }, this.plot);
        return { trade: t, xa, ya, xb, yb };
      },
      closest(row, inner) {
        if (inner === undefined) return null;
        const x = this.x(row);
        let best = null, least = 18;
        for (const spot of this.spots || []) {
          const d = Math.min(Math.hypot(spot.xa - x, spot.ya - inner), Math.hypot(spot.xb - x, spot.yb - inner));
          if (d < least) { least = d; best = spot; }
        }
        return best;
      },
      mark(row, inner) {
        this.over.replaceChildren();
        const spot = this.closest(row, inner);
        if (spot) {
          this.near(spot);
        } else {
          const c = candles(this.symbol), i = clamp(lowerBound(c.at, row - k / 2), 0, c.at.length - 1);
          this.cross(c.at[i]);
          this.dot(c.at[i], c.close[i], "--ink");
        }
      },
      near(spot) {
        element("line", { class: "near", x1: spot.xa, y1: spot.ya, x2: spot.xb, y2: spot.yb }, this.over);
        if (spot.trade.stop !== null) element("line", { class: "stop", x1: spot.xa, x2: Math.max(spot.xb, spot.xa + 12), y1: this.y(spot.trade.stop), y2: this.y(spot.trade.stop) }, this.over);
      },
      read(row, inner) {
        const spot = this.closest(row, inner), c = candles(this.symbol);
        if (spot) return tradeWords(spot.trade);
        const i = clamp(lowerBound(c.at, row - k / 2), 0, c.at.length - 1);
        return { title: when(c.time[i]), lines: [["open", priceText(c.open[i])], ["high", priceText(c.high[i])], ["low", priceText(c.low[i])], ["close", priceText(c.close[i])]] };
      },
    });
    const namePrices = () => { byId("price-name").textContent = DATA.prices.symbols[prices.symbol].name; };
    select.addEventListener("change", () => { prices.symbol = +select.value; prices.leave(); prices.render(); });
    addEventListener("beforeprint", namePrices);
    byId("reset-prices").addEventListener("click", () => prices.zoom(null));
  } else {
    byId("price-chart").remove();
    byId("price-note").textContent = "No position was opened.";
    select.disabled = true;
  }
  function tradeWords(t) {
    const lines = [["entry", `${priceText(t.entry)}  ${when(t.opened)}`], ["exit", `${priceText(t.exit)}  ${when(t.closed)}`], ["reason", DATA.reasons[t.reason]], ["quantity", number(t.qty, 4)]];
    if (t.stop !== null) lines.push(["initial stop", priceText(t.stop)]);
    lines.push(["profit", money(t.pnl)]);
    if (t.r !== null) lines.push(["R", fixed(t.r, 2)]);
    lines.push(["MAE, MFE", `${percent(t.mae)}, ${percent(t.mfe)}`]);
    if (t.tag) lines.push(["tag", DATA.tags[t.tag]]);
    return { title: `${t.symbol} ${t.side > 0 ? "long" : "short"}`, lines };
  }
  function showTrade(t) {
    if (payoff) payoff.choose(t.id);
    if (t.chart < 0 || !prices) return;
    prices.symbol = t.chart;
    select.value = String(t.chart);
    const pad = Math.max((t.to - t.from) * 1.5, 30 * k);
    prices.zoom([Math.max(t.from - pad, 0), Math.min(t.to + pad, Math.max(DATA.rows - 1, 1))]);
    byId("prices").scrollIntoView();
  }

  // Payoff of a package -------------------------------------------------------------------------------------
  const packages = DATA.packages.map(([id, legs, entry, exit, realised, low, high, now, line, evens]) => {
    const trade = trades.find((t) => t.id === id), spots = (now || []).map((_, i) => low + i * (high - low) / (now.length - 1));
    const corners = [...line, ...evens.filter((s) => s > low && s < high).map((s) => [s, 0])].sort((a, b) => a[0] - b[0]);
    return { id, legs, entry, exit, realised, low, high, spots, now, corners, evens, trade };
  });
  const strikeText = (strike) => strike.toLocaleString("en-US", { useGrouping: false, maximumFractionDigits: 4 });
  const kindOf = (right) => (right > 0 ? "C" : "P");
  // A leg does not break across lines; days only where legs end at different dates.
  function legWords(legs) {
    const mixed = new Set(legs.filter((leg) => leg[1]).map((leg) => leg[3])).size > 1;
    const word = ([units, right, strike, days]) => `${minus((units > 0 ? "+" : "") + units)}\u00a0${right ? strikeText(strike) + kindOf(right) : "shares"}${mixed && right ? `\u00a0${days}d` : ""}`;
    return legs.map(word).join(" ");
  }
  // Value of a line of [x, y] points at x, null beyond its ends.
  function onLine(points, x) {
    for (let i = 1; i < points.length; i++) {
      const [xa, ya] = points[i - 1], [xb, yb] = points[i];
      if (x >= xa && x <= xb) return xb > xa ? ya + (yb - ya) * (x - xa) / (xb - xa) : ya;
    }
    return null;
  }
  let payoff = null;
  if (packages.length) {
    const choice = byId("package"), openTrade = (t) => DATA.reasons[t.reason] === "end_of_data";
    packages.map((p, i) => [p, i]).reverse().forEach(([p, i]) => choice.append(new Option(`${when(p.trade.opened)}  ${p.trade.symbol}  ${money(p.trade.pnl)}${openTrade(p.trade) ? " (open)" : ""}  ${legWords(p.legs)}`, String(i))));
    const nowAt = (p, x) => p.now ? onLine(p.spots.map((s, i) => [s, p.now[i]]), x) : null;
    payoff = new Chart(byId("payoff-chart"), {
      shown: DATA.package_shown,
      bottom: 38,
      top: 36,
      domain() { const p = packages[this.shown]; return [p.low, p.high]; },
      draw() {
        const p = packages[this.shown], all = [...p.corners.map((c) => c[1]), ...(p.now || []), p.realised, 0];
        const low = Math.min(...all), high = Math.max(...all), pad = (high - low) * 0.08;
        this.scale(low - pad, high + pad, false, compact);
        const base = this.height - this.bottom, zero = this.y(0), digits = p.high - p.low > 20 ? 0 : 2;
        for (const tick of niceTicks(p.low, p.high, Math.max(Math.floor(this.inner / 80), 2))) {
          const x = this.x(tick);
          if (x < this.left + 16 || x > this.width - this.right - 16) continue;
          element("line", { class: "axis", x1: x, x2: x, y1: base, y2: base + 4 }, this.axes);
          element("text", { x, y: base + 17, "text-anchor": "middle" }, this.axes, number(tick, digits));
        }
        element("text", { x: this.left + this.inner / 2, y: this.height - 4, "text-anchor": "middle" }, this.axes, `price of ${p.trade.symbol}`);
        // profit and loss in their colours, one area for each stretch on a side of zero
        let area = null;
        for (let i = 1; i < p.corners.length; i++) {
          const [a, b] = [p.corners[i - 1], p.corners[i]], tone = a[1] + b[1] >= 0 ? "gain" : "cost";
          if (!area || area.tone !== tone) { if (area) this.fill(area, zero); area = { tone, points: [a] }; }
          area.points.push(b);
        }
        if (area) this.fill(area, zero);
        element("line", { class: "zero", x1: this.left, x2: this.width - this.right, y1: zero, y2: zero }, this.plot);
        const options = p.legs.filter((leg) => leg[1]);
        for (const strike of new Set(options.map((leg) => leg[2]))) {
          const x = this.x(strike), words = options.filter((leg) => leg[2] === strike).map(([units, right]) => minus((units > 0 ? "+" : "") + units) + kindOf(right));
          element("line", { class: "strike", x1: x, x2: x, y1: this.top, y2: base }, this.plot);
          element("text", { x: x + 4, y: base - 5 }, this.plot, words.join(" "));
        }
        if (p.now) element("path", { class: "bench", d: "M" + p.spots.map((s, i) => `${this.x(s).toFixed(1)} ${this.y(p.now[i]).toFixed(1)}`).join("L") }, this.plot);
        if (p.corners.length) element("path", { class: "account", d: "M" + p.corners.map(([s, v]) => `${this.x(s).toFixed(1)} ${this.y(v).toFixed(1)}`).join("L") }, this.plot);
        for (const even of p.evens) element("path", { class: "even", d: `M${this.x(even)} ${zero - 6}l5 6l-5 6l-5 -6Z` }, this.plot);
        this.spot(p.entry, "entry", nowAt(p, p.entry), "in", 12);
        this.spot(p.exit, openTrade(p.trade) ? "now" : DATA.reasons[p.trade.reason].replaceAll("_", " "), p.realised, p.realised >= 0 ? "out win" : "out loss", 27);
      },
      fill(area, zero) {
        const ends = [area.points[0], area.points[area.points.length - 1]];
        element("path", { class: area.tone, d: `M${this.x(ends[0][0])} ${zero}L${area.points.map(([s, v]) => `${this.x(s)} ${this.y(v)}`).join("L")}L${this.x(ends[1][0])} ${zero}Z` }, this.plot);
      },
      // A price of the underlying with its name above the chart, each on a line of its own.
      spot(price, name, profit, tone, level) {
        if (price === null) return;
        const x = this.x(price), late = x > this.left + this.inner * 0.7;
        element("line", { class: "spot", x1: x, x2: x, y1: level - 9, y2: this.height - this.bottom }, this.axes);
        element("text", { class: "strong", x: x + (late ? -5 : 5), y: level, "text-anchor": late ? "end" : "start" }, this.axes, `${name} ${priceText(price)}`);
        if (profit !== null) element("circle", { class: tone, cx: x, cy: this.y(profit), r: 5 }, this.plot);
      },
      mark(price) {
        const p = packages[this.shown];
        this.over.replaceChildren();
        this.cross(price);
        this.dot(price, nowAt(p, price), "--bench");
        this.dot(price, onLine(p.corners, price), "--accent");
      },
      read(price) {
        const p = packages[this.shown];
        return { title: `${p.trade.symbol} at ${priceText(price)}`, lines: [["from the entry", percent(price / p.entry - 1)], ["at expiry", money(onLine(p.corners, price))], ["at the entry's close", money(nowAt(p, price))]] };
      },
    });
    const tell = () => {
      const p = packages[payoff.shown], t = p.trade, facts = byId("payoff-facts"), profits = p.corners.map((c) => c[1]);
      const days = Math.min(...p.legs.filter((leg) => leg[1]).map((leg) => leg[3]));
      const rows = [
        ["Legs", legWords(p.legs)], ["Entry", `${when(t.opened)}, ${t.side < 0 ? "credit" : "debit"} ${priceText(t.entry)}`], ["Days to expiry", number(days, 0)],
        [openTrade(t) ? "Last mark" : "Exit", `${when(t.closed)}, ${openTrade(t) ? "open" : DATA.reasons[t.reason].replaceAll("_", " ")}`],
        ["Break-even", p.evens.length ? p.evens.map(priceText).join(", ") : "none"], ["At expiry, in view", profits.length ? `${money(Math.min(...profits))} to ${money(Math.max(...profits))}` : "\u2013"],
        ["Made per package", `${money(p.realised)} \u00d7 ${number(t.qty, 4)}`], ["Profit after fees", money(t.pnl)],
      ];
      byId("payoff-name").textContent = `${t.symbol}, ${when(t.opened)}`;
      facts.replaceChildren();
      for (const [name, value] of rows) {
        const line = document.createElement("div"), left = document.createElement("dt"), right = document.createElement("dd");
        left.textContent = name;
        right.textContent = value;
        line.append(left, right);
        facts.append(line);
      }
      byId("payoff-chart").setAttribute("aria-label", `Profit of ${t.symbol} ${legWords(p.legs)} against the price of ${t.symbol}; break-even ${p.evens.map(priceText).join(", ") || "none"}.`);
    };
    payoff.choose = (id) => {
      const place = packages.findIndex((p) => p.id === id);
      if (place < 0) return;
      payoff.shown = place;
      choice.value = String(place);
      payoff.leave();
      payoff.render();
      tell();
    };
    choice.addEventListener("change", () => payoff.choose(packages[+choice.value].id));
    choice.value = String(payoff.shown);
    tell();
  }

  // The table of trades -------------------------------------------------------------------------------------
  const COLUMNS = [
    ["Symbol", "symbol", (t) => t.symbol], ["Side", "side", (t) => (t.side > 0 ? "long" : "short")], ["Entered", "opened", (t) => when(t.opened)],
    ["Entry", "entry", (t) => priceText(t.entry), true], ["Exited", "closed", (t) => when(t.closed)], ["Exit", "exit", (t) => priceText(t.exit), true],
    ["Quantity", "qty", (t) => number(t.qty, 4), true], ["Reason", "reason", (t) => DATA.reasons[t.reason]], ["Bars", "bars", (t) => number(t.bars, 0), true],
    ["MAE", "mae", (t) => percent(t.mae), true], ["MFE", "mfe", (t) => percent(t.mfe), true], ["R", "r", (t) => fixed(t.r, 2), true], ["Profit", "pnl", (t) => money(t.pnl), true],
  ];
  const table = byId("trade-table"), more = byId("more");
  let order = ["closed", -1], limit = 25;
  // nobody can ask a sheet of paper for more
  const LEAST_ON_PAPER = 100;
  function fillTable(least = 0) {
    const [key, way] = order;
    const sorted = [...trades].sort((a, b) => (a[key] === b[key] ? b.id - a.id : a[key] === null ? 1 : b[key] === null ? -1 : a[key] < b[key] ? -way : way));
    const body = table.tBodies[0];
    body.replaceChildren();
    const shown = sorted.slice(0, Math.max(limit, least));
    for (const t of shown) {
      const line = body.insertRow();
      for (const [, name, text, right] of COLUMNS) {
        const cell = line.insertCell();
        cell.textContent = text(t);
        if (right) cell.className = "num";
        if (name === "pnl" || name === "r") cell.classList.add(t.pnl >= 0 ? "up" : "down");
      }
      line.addEventListener("click", () => showTrade(t));
    }
    more.hidden = sorted.length <= limit;
    const rest = DATA.left_out.trades + sorted.length, by = COLUMNS.find((column) => column[1] === key)[0].toLowerCase();
    byId("trade-note").textContent = `${shown.length < rest ? `${number(shown.length)} of ` : ""}${number(rest)} trades, by ${by}, ${way > 0 ? "ascending" : "descending"}`;
  }
  for (const [word, name, , right] of COLUMNS) {
    const head = document.createElement("th"), button = document.createElement("button");
    head.scope = "col";
    if (right) head.className = "num";
    button.type = "button";
    button.textContent = word;
    button.addEventListener("click", () => {
      order = [name, order[0] === name ? -order[1] : right ? -1 : 1];
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order[1] > 0 ? "ascending" : "descending");
      fillTable();
    });
    head.append(button);
    table.tHead.rows[0].append(head);
  }
  more.addEventListener("click", () => { limit += 100; fillTable(); });
  addEventListener("beforeprint", () => fillTable(LEAST_ON_PAPER));
  addEventListener("afterprint", () => fillTable());
  fillTable();

  // Tabs ----------------------------------------------------------------------------------------------------
  const tabs = [...document.querySelectorAll("[role=tab]")];
  function choose(tab) {
    for (const other of tabs) {
      const on = other === tab;
      other.setAttribute("aria-selected", String(on));
      other.tabIndex = on ? 0 : -1;
      byId(other.getAttribute("aria-controls")).hidden = !on;
    }
  }
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      const next = tabs[(i + step + tabs.length) % tabs.length];
      choose(next);
      next.focus();
    });
  });
  if (tabs.length) { choose(tabs[0]); tabs[0].parentElement.hidden = false; }
})();
