// The report's own: the scale of the bars, own scales over time, reading along a timeline.
"use strict";

(() => {
  const bars = document.querySelector(".bars");

  /** Which marks fit beside each other at this scale: the largest first, the model file always. */
  const label = (chart, scale) => {
    const width = chart.clientWidth;
    let free = Infinity;
    const marks = [...chart.querySelectorAll(".bar-mark")];
    marks.sort((a, b) => b.classList.contains("model") - a.classList.contains("model"));
    const taken = [];
    for (const mark of marks) {
      const left = (mark.dataset.mb / scale) * width;
      mark.classList.toggle("beyond", left > width);
      mark.classList.remove("mute", "flip");
      const text = mark.firstElementChild.getBoundingClientRect().width + 12;
      const places = [[left, left + text, false], [left - text, left, true]];
      const place = places.find(([from, to]) => from >= 0 && to <= width && taken.every(([a, b]) => to <= a || from >= b));
      mark.classList.toggle("mute", !place);
      if (!place || left > width) continue;
      mark.classList.toggle("flip", place[2]);
      taken.push(place);
    }
  };

  const draw = () => {
    const scale = Number(bars.querySelector("[name=scale]:checked").value);
    const isAlone = !document.getElementById("with-base").checked;
    bars.style.setProperty("--scale", scale);
    bars.classList.toggle("alone-only", isAlone);
    for (const row of bars.querySelectorAll(".bar-row")) {
      const held = Number(isAlone ? row.dataset.alone : row.dataset.whole);
      row.classList.toggle("over", held > scale * 1.0001);
    }
    for (const chart of bars.querySelectorAll(".bar-marks")) label(chart, scale);
  };
  if (bars) {
    bars.addEventListener("change", draw);
    addEventListener("resize", draw);
    draw();
  }

  // Steps over a picture say their name where it has room.
  const name = () => {
    for (const step of document.querySelectorAll(".step")) {
      step.classList.remove("tight");
      step.classList.toggle("tight", step.firstElementChild.offsetWidth + 6 > step.clientWidth);
    }
  };
  addEventListener("resize", name);
  name();

  // Each picture on its own scale: the drawing is stretched, and the ticks are its own.
  document.getElementById("own-scale")?.addEventListener("change", (event) => {
    for (const plot of document.querySelectorAll(".timeline")) {
      const svg = plot.querySelector("svg");
      plot.classList.toggle("own-scale", event.target.checked);
      svg.setAttribute("viewBox", event.target.checked ? svg.dataset.own : "0 0 1000 1000");
    }
  });

  /** Read a timeline at a share of its width: line, tip, and what the arrow keys go on from. */
  const follow = (area) => {
    const series = pelemay.data(area.dataset.series);
    const first = series.at[0];
    const length = series.at.at(-1) - first;
    const line = document.createElement("div");
    line.className = "crosshair";
    let index = 0;
    const show = () => {
      const at = series.at[index];
      const step = series.steps.findLast(([begin]) => begin <= at)?.[1] ?? "";
      const share = length ? (at - first) / length : 0;
      line.style.left = `${share * 100}%`;
      area.append(line);
      const box = area.getBoundingClientRect();
      const [held, mapped] = [series.anonymous[index], series.file[index]];
      const text = [
        `${pelemay.time((at - first) * 1000)}, ${step}`,
        `${pelemay.bytes(held + mapped)} resident`,
        `${pelemay.bytes(held)} anonymous`,
        `${pelemay.bytes(mapped)} file-backed`,
      ].join("\n");
      pelemay.showTip(text, box.left + share * box.width, box.top, 10);
    };
    const hide = () => { line.remove(); pelemay.hideTip(); };
    const point = (event) => {
      const box = area.getBoundingClientRect();
      const wanted = first + ((event.clientX - box.left) / box.width) * length;
      const after = series.at.findIndex((at) => at >= wanted);
      index = after < 0 ? series.at.length - 1 : after;
      if (index && wanted - series.at[index - 1] < series.at[index] - wanted) index -= 1;
      show();
    };
    area.addEventListener("pointermove", point);
    area.addEventListener("pointerdown", point);
    // A finger leaves when it is lifted: then what it has pointed at stays, until another place is touched.
    area.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
    area.addEventListener("blur", hide);
    area.addEventListener("focus", () => { if (area.matches(":focus-visible")) show(); });
    area.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
      if (!step) return;
      event.preventDefault();
      index = Math.min(Math.max(index + step, 0), series.at.length - 1);
      show();
    });
  };
  for (const area of document.querySelectorAll(".plot-area[data-series]")) follow(area);
})();
