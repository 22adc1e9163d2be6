// The page is whole without this; with it the figures follow weir every two seconds.
"use strict";
(() => {
  const every = 2000, now = document.getElementById("now"), age = document.getElementById("age"), hold = document.getElementById("hold");
  let held = false, timer = 0;
  const selecting = () => { const s = getSelection(); return s && !s.isCollapsed && now.contains(s.anchorNode); };

  async function look() {
    clearTimeout(timer);
    if (!held && !document.hidden && !selecting()) {
      try {
        const answer = await fetch("/live/now", { cache: "no-store", signal: AbortSignal.timeout(10000) });
        if (!answer.ok) throw new Error(answer.statusText);
        const text = await answer.text();
        if (!held) now.innerHTML = text;
        age.hidden = true;
      } catch {
        age.hidden = false;
      }
    }
    timer = setTimeout(look, every);
  }
  hold.hidden = false;
  hold.addEventListener("click", () => {
    held = !held;
    hold.textContent = held ? "Go on" : "Pause";
    hold.classList.toggle("held", held);
    if (!held) look();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  timer = setTimeout(look, every);
})();
