// What is pointed at, by pointer or keyboard.

let lit = null;
const boxAt = (target) => (target instanceof Element ? target.closest(".box")?.box : null);
const light = (box) => {
  lit?.shown?.classList.remove("lit");
  lit = box;
  lit?.shown?.classList.add("lit");
  for (const edge of scene.querySelectorAll(".edge")) edge.classList.toggle("lit", Boolean(box) && (edge.source === box || edge.target === box));
};
const describe = (box) => {
  const pairs = [];
  let title = box.title;
  if (box.type === "node") {
    const [name, op, result, nbytes, macs, slow, attributes] = nodes[box.node];
    title = op;
    pairs.push(["name", name], ["result", result], ["parameters", nbytes && `${nbytes.toLocaleString("en")} bytes`],
      ["multiply-accumulates", macs && macs.toLocaleString("en")], ["attributes", attributes], ["runs on", slow ? "the reference backend" : "the engine"]);
  } else if (box.type === "end") pairs.push(["type", box.sub[0]]);
  else {
    const ops = new Map();
    const count = (one) => (one.inside ? one.inside.forEach(count) : one.type === "node" && ops.set(one.title, (ops.get(one.title) ?? 0) + 1));
    count(box);
    pairs.push(["nodes", box.count.toLocaleString("en")], ["operations", [...ops].sort((a, b) => b[1] - a[1]).slice(0, 12).map(([op, n]) => `${op} × ${n}`).join(", ")],
      ["parameters", box.nbytes && `${box.nbytes.toLocaleString("en")} bytes`], ["multiply-accumulates", box.macs && box.macs.toLocaleString("en")],
      ["on the reference backend", box.slow && `${box.slow} nodes`]);
  }
  const heading = document.createElement("h3"), list = document.createElement("dl");
  heading.textContent = title;
  for (const [what, text] of pairs) {
    if (!text || !what) continue;
    const term = document.createElement("dt"), said = document.createElement("dd");
    term.textContent = what;
    said.textContent = text;
    list.append(term, said);
  }
  details.replaceChildren(heading, list);
};
stage.addEventListener("pointerover", (event) => {
  const box = boxAt(event.target);
  if (!box || pointers.size || box === lit) return;
  light(box);
  describe(box);
});
stage.addEventListener("click", (event) => {
  if (dragged) return;
  const box = boxAt(event.target);
  if (!box) return;
  // Of an open block only the head closes it.
  const head = stage.getBoundingClientRect().top + view.y + (box.absolute[1] + HEAD) * view.scale;
  light(box);
  describe(box);
  if (!box.isOpen || event.clientY <= head) toggle(box);
  else box.shown.focus({ preventScroll: true });
});

const joined = (box, forwards) => {
  const inside = box.parent.inside, at = inside.indexOf(box);
  for (const [source, target] of box.parent.edges) {
    const found = forwards ? source === at && inside[target] : target === at && inside[source];
    if (found) return found;
  }
  return box.parent === root ? null : forwards ? joined(box.parent, true) : box.parent;
};
const beside = (box, by) => {
  const { inside, layers } = box.parent, layer = layers[inside.indexOf(box)];
  const row = inside.filter((_, i) => layers[i] === layer).sort((a, b) => a.x - b.x);
  return row[row.indexOf(box) + by];
};
const go = (box) => {
  if (!box) return;
  light(box);
  describe(box);
  const x = view.x + box.absolute[0] * view.scale, y = view.y + box.absolute[1] * view.scale;
  if (x < 0 || y < 0 || x + box.width * view.scale > stage.clientWidth || y + 60 > stage.clientHeight) centre(box);
  box.shown.focus({ preventScroll: true });
};
stage.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const box = boxAt(document.activeElement) ?? lit;
  const first = () => root.inside.find((one) => one.type === "end") ?? root.inside[0];
  const actions = {
    ArrowDown: () => go(!box ? first() : box.isOpen ? box.inside[0] : joined(box, true)),
    ArrowUp: () => go(box ? joined(box, false) : first()),
    ArrowLeft: () => box && go(beside(box, -1)), ArrowRight: () => box && go(beside(box, 1)),
    Enter: () => box && toggle(box), " ": () => box && toggle(box),
    "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: fit,
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
});
