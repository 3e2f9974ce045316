// The picture, as SVG.

const SPACE = "http://www.w3.org/2000/svg";
const draw = (name, attributes = {}, text) => {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
};
const svg = draw("svg");
const arrow = draw("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" });
arrow.append(draw("path", { d: "M0,0.6 L8,4 L0,7.4 z" }));
const definitions = draw("defs");
definitions.append(arrow);
const scene = draw("g");
svg.append(definitions, scene);
stage.append(svg);

const render = () => {
  size(root);
  scene.replaceChildren();
  for (const box of boxes) box.shown = null;
  renderInside(root, scene, 0, 0);
  light(lit);
};

const renderInside = (box, into, left, top) => {
  const edges = draw("g"), cards = draw("g"), labels = draw("g");
  into.append(edges, cards, labels);
  for (const edge of box.edges) edges.append(renderEdge(box, edge));
  const said = new Set();
  for (const [source, , , label] of box.edges) {
    if (said.has(source) || !label) continue;
    said.add(source);
    if (source < box.inside.length) {
      const one = box.inside[source];
      labels.append(draw("text", { class: "shape", x: one.x + one.width / 2 + 7, y: one.y + one.height + 13 }, label.replace(/^float32\[(.*)\]$/, "$1")));
    }
  }
  for (const one of box.inside) {
    one.absolute = [left + one.x, top + one.y];
    cards.append(renderBox(one));
  }
};

const renderEdge = (box, [source, target, bends]) => {
  const { x, y, tops, tall } = box.at, { inside, layers } = box;
  const isPort = (i) => box !== root && i >= inside.length && i < inside.length + 2;
  const bottom = isPort(source) ? HEAD - 8 : y[source] + inside[source].height;
  const end = isPort(target) ? box.height : y[target] - 1;
  let path = `M${x[source]},${bottom}`, [px, py] = [x[source], bottom];
  const curve = (qx, qy) => {
    if (px !== qx && qy - py > 2 * STRAIGHT) path += ` V${(py += STRAIGHT)}`;
    const middle = (py + qy) / 2;
    path += px === qx ? ` L${qx},${qy}` : ` C${px},${middle} ${qx},${middle} ${qx},${qy}`;
    [px, py] = [qx, qy];
  };
  for (const bend of bends) {
    curve(x[bend], tops[layers[bend]]);
    if (tall[layers[bend]] > 1) { path += ` L${x[bend]},${tops[layers[bend]] + tall[layers[bend]]}`; py = tops[layers[bend]] + tall[layers[bend]]; }
  }
  curve(x[target], end);
  const made = draw("path", { class: "edge", d: path, "marker-end": isPort(target) ? "" : "url(#arrow)" });
  made.source = inside[source];
  made.target = inside[target];
  return made;
};

const fitted = (text, width, letter) => {
  const most = Math.floor(width / letter);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
};

/** As many parts as there is room for; the first one is cut where it is too long. */
const joinedTo = (parts, most) => {
  for (let count = parts.length; count > 1; count--) {
    const text = parts.slice(0, count).join(" · ");
    if (text.length <= most) return text;
  }
  return fitted(parts[0] ?? "", most, 1);
};

const renderBox = (box) => {
  const kind = box.type === "end" ? "end" : box.type === "block" && box.kind !== "layer" ? "block" : kindOf(box.title);
  const classes = ["box", `of-${kind}`, box.type === "end" && "is-end", box.isOpen && "is-open", box.slow && "is-slow", hits.includes(box) && "hit"];
  const made = draw("g", { class: classes.filter(Boolean).join(" "), transform: `translate(${box.x},${box.y})`, tabindex: -1, role: "button" });
  made.setAttribute("aria-label", `${box.title}, ${box.name ?? box.sub.join(", ")}${box.type === "block" ? (box.isOpen ? ", open" : ", closed") : ""}`);
  if (box.type === "block") made.setAttribute("aria-expanded", box.isOpen);
  made.append(draw("rect", { class: "card", width: box.width, height: box.height, rx: 6 }));
  if (kind !== "end") made.append(draw("rect", { class: "bar", x: 0, y: 0, width: 5, height: box.isOpen ? HEAD - 8 : box.height, rx: 2.5 }));
  const mark = box.type === "block" ? (box.isOpen ? "− " : "+ ") : "";
  made.append(draw("text", { class: "title", x: 14, y: box.isOpen ? 20 : 19 }, mark + fitted(box.title, box.width - 30, 7.6)));
  if (box.isOpen) {
    const inner = draw("g");
    made.append(inner);
    renderInside(box, inner, ...box.absolute);
  } else made.append(draw("text", { class: "sub", x: 14, y: 36 }, joinedTo(box.sub, (box.width - 22) / 6.2)));
  made.box = box;
  box.shown = made;
  return made;
};
