// Blocks that open and close, and moving about.

const LARGE = 600;
const toggle = (box, open = !box.isOpen) => {
  if (box.type !== "block" || box === root) return;
  const middle = () => [box.absolute[0] + box.width / 2, box.absolute[1]];
  const [x, y] = box.absolute ? middle() : [0, 0];
  box.isOpen = open;
  render();
  // What was clicked stays where it is.
  const [left, top] = middle();
  view.x += (x - left) * view.scale;
  view.y += (y - top) * view.scale;
  move();
  box.shown?.focus({ preventScroll: true });
};
const openAll = (open) => {
  for (const box of boxes) if (box.type === "block" && box !== root) box.isOpen = open && (box.kind !== "layer" || nodes.length < LARGE);
  render();
  begin();
};
const reveal = (box) => {
  let isChanged = false;
  for (let outer = box.parent; outer; outer = outer.parent) { isChanged ||= !outer.isOpen; outer.isOpen = true; }
  if (isChanged) render();
  centre(box);
  light(box);
  describe(box);
};

const view = { x: 0, y: 0, scale: 1 };
const move = () => scene.setAttribute("transform", `translate(${view.x.toFixed(1)},${view.y.toFixed(1)}) scale(${view.scale.toFixed(4)})`);
const zoom = (factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) => {
  const scale = Math.min(3, Math.max(0.03, view.scale * factor)), by = scale / view.scale;
  view.x = x - (x - view.x) * by;
  view.y = y - (y - view.y) * by;
  view.scale = scale;
  move();
};
const fit = () => {
  const width = stage.clientWidth - 32, height = stage.clientHeight - 32;
  view.scale = Math.min(1, width / root.width, height / root.height);
  view.x = 16 + (width - root.width * view.scale) / 2;
  view.y = 16 + Math.max(0, (height - root.height * view.scale) / 2);
  move();
};
/** The beginning at a size that can be read, where all of it would be too small. */
const begin = () => {
  fit();
  const least = Math.min(0.85, (stage.clientWidth - 24) / root.width);
  if (view.scale >= least) return;
  view.scale = Math.max(least, 0.5);
  view.x = (stage.clientWidth - root.width * view.scale) / 2;
  view.y = 16;
  move();
};
const centre = (box) => {
  if (view.scale < 0.6) view.scale = 0.8;
  view.x = stage.clientWidth / 2 - (box.absolute[0] + box.width / 2) * view.scale;
  view.y = stage.clientHeight / 2 - (box.absolute[1] + Math.min(box.height, 200) / 2) * view.scale;
  move();
};

const pointers = new Map();
let dragged = false;
stage.addEventListener("pointerdown", (event) => { pointers.set(event.pointerId, event); dragged = false; });
window.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY;
  if (pointers.size === 2) {
    const [other] = [...pointers.values()].filter((p) => p.pointerId !== event.pointerId);
    const far = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    const box = stage.getBoundingClientRect();
    if (far(before, other) > 10) zoom(far(event, other) / far(before, other), (event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top);
    dragged = true;
  } else if (dragged || Math.abs(dx) + Math.abs(dy) > 4) {
    dragged = true;
    view.x += dx;
    view.y += dy;
    move();
  } else return;
  pointers.set(event.pointerId, event);
});
for (const type of ["pointerup", "pointercancel"]) window.addEventListener(type, (event) => pointers.delete(event.pointerId));
stage.addEventListener("wheel", (event) => {
  if (!stage.contains(document.activeElement) && !event.ctrlKey) return;
  event.preventDefault();
  const box = stage.getBoundingClientRect();
  zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 250), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });
