// The frame that is shown.

const total = (f) => f.micros.reduce((sum, value) => sum + value, 0) + f.reading;
const parts = (f) => [
  ["arena", f.arena], ["window", f.window], ["stay", f.memory - f.window],
  ["scratch", f.scratch], ["ends", f.ends], ["tables", f.tables],
];

const choose = (index) => {
  seen.frame = prepare(index);
  const f = frames[index];
  slider.setAttribute("aria-valuetext", `${pelemay.bytes(f.limit)}: arena ${pelemay.bytes(f.arena)}, ${pelemay.time(total(f) * 1000)}`);
  $("limit-text").textContent = pelemay.bytes(f.limit);
  $("arena-text").textContent = pelemay.bytes(f.arena);
  $("weights-text").textContent = pelemay.bytes(f.memory);
  $("read-text").textContent = pelemay.bytes(f.read);
  $("time-text").textContent = pelemay.time(total(f) * 1000);
  const whole = parts(f).reduce((sum, [, nbytes]) => sum + nbytes, 0);
  for (const [name, nbytes] of parts(f)) {
    const part = $(`part-${name}`);
    part.style.flexGrow = nbytes / whole;
    part.hidden = !nbytes;
    part.dataset.tip = `${part.dataset.what}: ${nbytes.toLocaleString("en")} bytes`;
    part.setAttribute("aria-label", part.dataset.tip);
  }
  document.querySelectorAll(".marks .mark").forEach((mark, i) => mark.classList.toggle("chosen", i === index));
  pelemay.hideTip();
  light(-1);
  seen.at = null;
  draw();
  requestAnimationFrame(fill);
};
