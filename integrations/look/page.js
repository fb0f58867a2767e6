"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const percent = (share) => (100 * share).toFixed(share < 0.1 ? 1 : 0) + "\u00a0%";

  const cells = document.querySelector(".cells");
  if (cells) {
    const count = data.batch.length;
    const image = cells.querySelector("img");
    const cursor = cells.querySelector(".cursor");
    const said = document.querySelector(".said");
    let layer = data.layer, row = 0, column = 0;
    const show = () => {
      const side = 100 / count, weight = data.maps[layer][row][column];
      cursor.style.cssText =
        `display:block;left:${column * side}%;top:${row * side}%;width:${side}%;height:${side}%`;
      said.textContent =
        `Layer ${layer + 1}: ${data.titles[data.batch[row]]} gives ${percent(weight)} of its attention to ` +
        (row === column ? "itself" : data.titles[data.batch[column]]) +
        `. Evenly shared it would be ${percent(1 / count)}.`;
    };
    const point = (event) => {
      const box = cells.getBoundingClientRect();
      const at = (value) => Math.min(count - 1, Math.max(0, Math.floor(value * count)));
      column = at((event.clientX - box.left) / box.width);
      row = at((event.clientY - box.top) / box.height);
      show();
    };
    cells.addEventListener("pointermove", point);
    cells.addEventListener("pointerdown", point);
    cells.addEventListener("focus", show);
    cells.addEventListener("keydown", (event) => {
      const step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
      if (!step) return;
      event.preventDefault();
      row = Math.min(count - 1, Math.max(0, row + step[0]));
      column = Math.min(count - 1, Math.max(0, column + step[1]));
      show();
    });
    for (const choice of document.querySelectorAll(".layers input")) {
      choice.addEventListener("change", () => {
        layer = Number(choice.value);
        image.src = data.images[layer];
        image.alt = data.alts[layer];
        document.querySelector(".most").textContent = percent(data.most[layer]);
        if (cursor.style.display === "block") show();
      });
    }
  }

  const map = document.querySelector(".map");
  const tip = document.querySelector(".tip");
  if (map) {
    const thumb = tip.querySelector(".thumb"), words = tip.querySelector("span");
    const hide = () => { tip.style.display = "none"; };
    const show = (dot, event) => {
      const i = Number(dot.dataset.i), side = 96;
      thumb.style.backgroundSize = `${data.columns * side}px auto`;
      thumb.style.backgroundPosition =
        `-${(i % data.columns) * side}px -${Math.floor(i / data.columns) * side}px`;
      words.textContent = data.titles[i];
      tip.style.display = "block";
      const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
      const top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8);
      tip.style.left = Math.max(4, left) + "px";
      tip.style.top = Math.max(4, top) + "px";
    };
    const over = (event) => event.target.dataset.i === undefined ? hide() : show(event.target, event);
    map.addEventListener("pointermove", over);
    map.addEventListener("pointerdown", over);
    map.addEventListener("pointerleave", hide);
    addEventListener("scroll", hide, {passive: true});
  }
})();
