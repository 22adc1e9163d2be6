// Draws the experiment as it runs. Each second it asks for what the metrics say and keeps three minutes of it. Counters
// come as they stand; rates are made here, from two looks.
"use strict";

(() => {
  const keep = 180, wait = 1000, patience = 5000;
  const charts = document.getElementById("charts");
  const away = document.getElementById("away");
  const looks = []; // {now, rates}

  // How much of it is shown: what there is, in steps.
  const spans = [30, 60, 120, keep];

  const number = (n, digits = 0) => n.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const memory = (bytes) => number(bytes / 2 ** 20, bytes > 0 && bytes < 100 * 2 ** 20 ? 1 : 0) + " MiB";
  const seconds = (s) => (s < 1 ? number(s * 1000, s > 0 && s < 0.01 ? 1 : 0) + " ms" : number(s, 1) + " s");

  // What each plot shows: a name, a value of one look (null where there is none), and how it is written.
  const weir = (f) => (l) => (l.now.weir && !l.now.weir.error ? f(l.now.weir, l) : null);
  const plots = {
    sessions: { write: number, lines: [["clients", weir((w) => w.clients)], ["backends", weir((w) => w.backends)], ["waiting", weir((w) => w.waiting)]] },
    waits: { write: seconds, lines: [["mean", (l) => l.rates && l.rates.wait], ["the longest now", weir((w) => w.oldestWait)]] },
    throughput: { write: (n) => number(n) + "/s", lines: [["requests", (l) => l.rates && l.rates.ok], ["failures", (l) => l.rates && l.rates.failed], ["transactions", (l) => l.rates && l.rates.transactions]] },
    memory: { write: memory, lines: [["bookstore", (l) => l.now.shop.memory], ["weir", weir((w) => w.memory)]] },
  };

  function ratesOf(before, now) {
    const s = (now.time - before.time) / 1000;
    if (s <= 0) return null;
    const per = (a, b) => Math.max(0, b - a) / s; // a process that started anew counts from zero
    const rates = { ok: per(before.shop.ok, now.shop.ok), failed: per(before.shop.failed, now.shop.failed), transactions: null, wait: null };
    const a = before.weir, b = now.weir;
    if (a && b && !a.error && !b.error) {
      rates.transactions = per(a.transactions, b.transactions);
      const waits = b.waits - a.waits;
      rates.wait = waits > 0 ? (b.waitSeconds - a.waitSeconds) / waits : 0;
    }
    return rates;
  }

  const say = (tile, text) => document.querySelectorAll(`[data-tile=${tile}]`).forEach((e) => { e.textContent = text; });

  function tell({ now, rates }) {
    const w = now.weir;
    if (w && !w.error) {
      say("clients", number(w.clients));
      say("backends", number(w.backends));
      say("poolSize", number(w.poolSize));
      say("waiting", number(w.waiting));
      say("oldest", seconds(w.oldestWait));
      say("weirMemory", memory(w.memory));
      const cost = (n) => number(31 + 2 * n) + " MiB";
      say("estimate", `${number(w.backends)} backends take ${cost(w.backends)}; one for each of ${number(w.clients)} clients would take ${cost(w.clients)}.`);
    }
    if (rates) {
      say("requests", number(rates.ok));
      say("failures", number(rates.failed));
    }
  }

  // Drawing: a scale that ends at a round number, three lines of it, and a path for each line of the plot.
  const svg = (name, attributes, ...children) => {
    const e = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    e.append(...children);
    return e;
  };
  const roundUp = (n) => {
    const power = 10 ** Math.floor(Math.log10(n));
    return [1, 2, 5, 10].map((f) => f * power).find((f) => f >= n * 0.999);
  };

  function draw(place, plot) {
    const height = 180, left = 62, top = 8, bottom = 22;
    const width = Math.max(place.clientWidth, 200);
    const values = plot.lines.map(([, of]) => looks.map(of));
    const largest = Math.max(0, ...values.flat().filter((v) => v != null));
    const high = plot.write === memory ? roundUp(Math.max(largest, 2 ** 20) / 2 ** 20) * 2 ** 20 : roundUp(Math.max(largest, plot.write === seconds ? 0.001 : 10));
    const end = looks[looks.length - 1].now.time, span = spans.find((s) => end - looks[0].now.time <= s * 1000) || keep, begin = end - span * 1000;
    const x = (time) => left + ((time - begin) / (end - begin)) * (width - left - 4);
    const y = (v) => top + (1 - v / high) * (height - top - bottom);
    const shown = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
    const last = plot.lines.map(([name], i) => `${name} ${values[i].at(-1) == null ? "unknown" : plot.write(values[i].at(-1))}`).join(", ");
    shown.setAttribute("aria-label", "Now: " + last);
    for (const part of [0, 0.5, 1]) {
      shown.append(svg("line", { class: "grid", x1: left, x2: width - 4, y1: y(high * part), y2: y(high * part) }));
      shown.append(svg("text", { x: left - 8, y: y(high * part) + 4, "text-anchor": "end" }, plot.write(high * part)));
    }
    for (const [ago, anchor] of [[span, "start"], [span / 2, "middle"], [0, "end"]]) {
      shown.append(svg("text", { x: x(end - ago * 1000), y: height - 4, "text-anchor": anchor }, ago ? `${ago} s ago` : "now"));
    }
    plot.lines.forEach((line, i) => {
      let path = "", pen = "M";
      values[i].forEach((v, n) => {
        if (v == null || looks[n].now.time < begin) { pen = "M"; return; }
        path += `${pen}${x(looks[n].now.time).toFixed(1)} ${y(Math.min(v, high)).toFixed(1)}`;
        pen = "L";
      });
      shown.append(svg("path", { class: "s" + i, d: path }));
    });
    const legend = document.createElement("div");
    legend.className = "legend";
    plot.lines.forEach(([name], i) => {
      if (values[i].every((v) => v == null)) return;
      const item = document.createElement("span"), value = document.createElement("b");
      value.textContent = values[i].at(-1) == null ? "" : " " + plot.write(values[i].at(-1));
      item.append(svg("svg", { viewBox: "0 0 30 10", "aria-hidden": "true" }, svg("path", { class: "s" + i, d: "M0 5L30 5" })), name, value);
      legend.append(item);
    });
    place.replaceChildren(shown, legend);
  }

  function show() {
    document.querySelectorAll("[data-plot]").forEach((place) => draw(place, plots[place.dataset.plot]));
  }

  // What was seen outlives a reload, in this tab.
  const store = "weir-live";

  function remember() {
    try { sessionStorage.setItem(store, JSON.stringify(looks.map((l) => l.now))); } catch { /* full, or forbidden: it is only a picture */ }
  }

  function recall() {
    try { return JSON.parse(sessionStorage.getItem(store)) || []; } catch { return []; }
  }

  function restore(now) {
    for (const old of recall()) {
      if (old.time > now.time - keep * 1000 && old.time < now.time && !old.weir === !now.weir) add(old);
    }
  }

  function add(now) {
    const before = looks.at(-1);
    if (before && now.time <= before.now.time) return;
    looks.push({ now, rates: before ? ratesOf(before.now, now) : null });
    while (looks.length > keep + 1) looks.shift();
  }

  function take(now) {
    add(now);
    tell(looks.at(-1));
    show();
  }

  async function look() {
    if (!document.hidden) {
      try {
        const answer = await fetch("/live/now", { signal: AbortSignal.timeout(patience), cache: "no-store" });
        if (!answer.ok) throw new Error(answer.statusText);
        take(await answer.json());
        away.hidden = true;
      } catch {
        away.hidden = false;
      }
    }
    setTimeout(look, wait);
  }

  const first = JSON.parse(charts.dataset.now);
  restore(first);
  take(first);
  addEventListener("pagehide", remember);
  addEventListener("resize", show);
  setTimeout(look, wait);
})();
