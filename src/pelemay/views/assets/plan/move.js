// Moving about with pointers, wheel and keys; the beginning.

const clamp = (low, high, least) => {
  const size = Math.min(1, Math.max(least, high - low));
  const from = Math.min(Math.max(0, low), 1 - size);
  return [from, from + size];
};
const move = (from, to) => {
  [seen.from, seen.to] = clamp(from, to, 4 / Math.max(8, seen.frame.count));
  requestAnimationFrame(draw);
};
const moveUp = (low, high) => {
  [seen.low, seen.high] = clamp(low, high, 0.02);
  requestAnimationFrame(draw);
};
const zoom = (factor, at = (seen.from + seen.to) / 2) => move(at - (at - seen.from) * factor, at + (seen.to - at) * factor);
const zoomUp = (factor, at = (seen.low + seen.high) / 2) => moveUp(at - (at - seen.low) * factor, at + (seen.high - at) * factor);
const reset = () => { moveUp(0, 1); move(0, 1); };
const centre = (node) => {
  const first = seen.frame.first.get(node), last = seen.frame.last.get(node);
  if (first === undefined) return;
  light(node);
  const middle = (ofStep(first) + ofStep(last + 1)) / 2 / most(), size = seen.to - seen.from;
  if (middle < seen.from || middle > seen.to) move(middle - size / 2, middle + size / 2); else draw();
};

const pointers = new Map();
let dragged = false;
over.addEventListener("pointerdown", (event) => {
  over.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  dragged = false;
});
over.addEventListener("pointermove", (event) => {
  const box = over.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  const before = pointers.get(event.pointerId);
  if (before) {
    drag(before, event);
    pointers.set(event.pointerId, event);
    return;
  }
  const found = find(x, y);
  show(found);
  if (found) tell(found, x, y); else pelemay.hideTip();
});
const drag = (before, event) => {
  const a = areas(), span = seen.to - seen.from, height = seen.high - seen.low;
  const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY;
  if (pointers.size === 2) {
    const [other] = [...pointers.values()].filter((p) => p.pointerId !== event.pointerId);
    const old = Math.abs(before.clientX - other.clientX), now = Math.abs(event.clientX - other.clientX);
    if (old > 8 && now > 8) zoom(old / now);
    dragged = true;
  } else if (dragged || Math.abs(dx) + Math.abs(dy) > 3) {
    dragged = true;
    pelemay.hideTip();
    move(seen.from - (dx / a.width) * span, seen.to - (dx / a.width) * span);
    if (height < 1) moveUp(seen.low + (dy / a.arena[1]) * height, seen.high + (dy / a.arena[1]) * height);
  }
};
const release = (event) => {
  if (!pointers.delete(event.pointerId) || dragged || event.type === "pointercancel") return;
  const box = over.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  const found = find(x, y);
  show(found);
  if (!found) return;
  tell(found, x, y);
  reveal(found.node);
};
over.addEventListener("pointerup", release);
over.addEventListener("pointercancel", release);
over.addEventListener("pointerleave", (event) => { if (!pointers.size && event.pointerType !== "touch") { show(null); pelemay.hideTip(); } });
over.addEventListener("wheel", (event) => {
  // The page scrolls until the picture has been chosen, by a click or the Tab key.
  if (document.activeElement !== over && !event.ctrlKey) return;
  event.preventDefault();
  const a = areas(), box = over.getBoundingClientRect();
  const factor = Math.exp(Math.max(-60, Math.min(60, event.deltaY || event.deltaX)) / 200);
  if (event.shiftKey) zoomUp(factor, nbytesOf(a, event.clientY - box.top) / arenaTop());
  else zoom(factor, valueOf(a, event.clientX - box.left) / most());
}, { passive: false });

const walk = (by) => {
  const list = spans(seen.frame).map(([s]) => seen.frame.steps[3 * s]);
  if (!list.length) return;
  const at = list.indexOf(seen.node);
  const node = list[(at + by + list.length) % list.length];
  centre(node);
  reveal(node);
  const a = areas(), step = seen.frame.first.get(node);
  const [box] = boxesOf(node);
  const y = box ? arenaY(a, box[2] + box[3] / 2) : a.lane[0];
  const value = box && seen.frame.buffers.flatMap((b) => b[5]).find((v) => v[2] === box[2] && v[4] === box[0]);
  tell({ step, node, value }, Math.min(Math.max(xOf(a, ofStep(step)), a.left), a.left + a.width), y);
  drawOver();
};
const keys = {
  ArrowLeft: () => walk(-1), ArrowRight: () => walk(1),
  ArrowUp: () => zoomUp(0.8), ArrowDown: () => zoomUp(1.25),
  "+": () => zoom(0.7), "=": () => zoom(0.7), "-": () => zoom(1 / 0.7), 0: reset, Home: reset,
  PageUp: () => move(seen.from - (seen.to - seen.from) / 2, seen.to - (seen.to - seen.from) / 2),
  PageDown: () => move(seen.from + (seen.to - seen.from) / 2, seen.to + (seen.to - seen.from) / 2),
};
over.addEventListener("keydown", (event) => {
  const action = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
$("zoom-in").addEventListener("click", () => zoom(0.6));
$("zoom-out").addEventListener("click", () => zoom(1 / 0.6));
$("zoom-all").addEventListener("click", reset);
$("by-step").addEventListener("change", (event) => { seen.byTime = !event.target.checked; draw(); });
$("same-scale").addEventListener("change", (event) => { seen.sameScale = event.target.checked; draw(); });
slider.addEventListener("input", () => choose(Number(slider.value)));
document.querySelectorAll(".marks .mark").forEach((mark, index) => mark.addEventListener("click", () => {
  slider.value = index;
  choose(index);
}));
document.addEventListener("theme", () => { readColours(); draw(); });
new ResizeObserver(draw).observe(chart);

readColours();
choose(Number(slider.value));

/** For tests: where a value is on the canvas, in its middle. */
pelemay.plan = {
  seen,
  placeOf: (name) => {
    const a = areas();
    for (const buffer of seen.frame.buffers) for (const v of buffer[5]) if (v[0] === name) {
      const x = (xOf(a, ofStep(v[4])) + xOf(a, ofStep(v[4] + 1))) / 2;
      return { x, y: arenaY(a, v[2] + v[3] / 2) };
    }
    return null;
  },
  draw,
};
