// What is wrong with the page that is open, as lines of text: words that are hard to read, controls without a name or too
// small for a finger, pictures without a description, what sticks out of its box or of the window.
(() => {
  const found = [];
  const short = (e) => e.outerHTML.slice(0, 80);

  // Contrast as WCAG 2.2 defines it (1.4.3); 4.5 : 1, also for large text, which could do with 3.
  const colour = (text) => {
    const m = text.match(/[\d.]+/g).map(Number);
    return { rgb: m.slice(0, 3), alpha: m.length > 3 ? m[3] : 1 };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = colour(getComputedStyle(e).backgroundColor);
      if (c.alpha === 1) return c.rgb;
      if (c.alpha > 0) found.push("half transparent: " + short(e));
    }
    return [255, 255, 255];
  };
  const silent = ["SCRIPT", "STYLE", "NOSCRIPT", "OPTION"];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let checked = 0;
  for (let node; (node = texts.nextNode()); ) {
    const e = node.parentElement;
    if (!node.data.trim() || silent.includes(e.tagName) || !e.checkVisibility() || e.closest(".unseen")) continue;
    const style = getComputedStyle(e);
    const pair = [luminance(colour(e.closest("svg") ? style.fill : style.color).rgb), luminance(behind(e))];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    checked++;
    if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ${node.data.trim().slice(0, 40)}`);
  }
  if (checked < 10) found.push(`only ${checked} texts`);

  for (const e of document.querySelectorAll("input:not([type=hidden]), textarea, button, a")) {
    if (!e.checkVisibility() || e.closest("[aria-hidden]")) continue;
    const labels = [...(e.labels || [])].map((l) => l.textContent).join();
    if (!(labels || e.textContent || e.getAttribute("aria-label") || "").trim()) found.push("no name: " + short(e));
    const r = (e.closest("label") || e).getBoundingClientRect();
    if (e.tagName !== "A" && (r.width < 24 || r.height < 24)) found.push("small: " + short(e));
  }
  for (const i of document.images) {
    if (!i.hasAttribute("alt")) found.push("no alt: " + i.src);
    if (i.complete && !i.naturalWidth && i.getBoundingClientRect().top < innerHeight) found.push("no picture: " + i.src);
  }

  for (const box of document.querySelectorAll(".panel, .card, .tiles > div, figure, header")) {
    const b = box.getBoundingClientRect();
    for (const e of box.querySelectorAll("*")) {
      const r = e.getBoundingClientRect();
      if (!r.width || e.closest(".unseen, svg, .picture")) continue;
      if (r.right > b.right + 1 || r.left < b.left - 1) found.push("out of its box: " + short(e));
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) {
    const wide = [...document.querySelectorAll("main *, header *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1);
    found.push(`scrolls sideways: ${document.documentElement.scrollWidth} in ${innerWidth}: ${wide.slice(0, 5).map(short)}`);
  }

  const headings = document.querySelectorAll("h1").length;
  if (headings !== 1) found.push(`${headings} main headings`);
  if (!document.documentElement.lang || !document.title) found.push("no language or title");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  if (new Set(ids).size !== ids.length) found.push("an id twice");
  return found;
})()
