// The graph of a model: blocks that open, laid out in layers. Where boxes go in a block is given; how large they are
// depends on what is open, so that places are worked out here, from the innermost block outwards.
"use strict";

(() => {
  const { nodes, ends, blocks } = pelemay.data("graph");
  const $ = (id) => document.getElementById(id);
  const stage = $("net"), details = $("details");
  const WIDTH = 208, HEIGHT = 46, ACROSS = 26, DOWN = 50, STRAIGHT = 18, PAD = 16, HEAD = 34, BEND = 14;

  // ---- What there is ----

  const KINDS = {
    product: /^(Fused)?(Conv|Gemm|MatMul|Einsum|LSTM|GRU|RNN|Attention|QLinear|.*MatMul|.*Conv)/,
    norm: /Norm|^LRN/,
    activation: /^(Relu|Clip|Sigmoid|Tanh|Softmax|LogSoftmax|Gelu|.*Elu|Elu|Selu|Celu|HardS\w+|.*Relu|Erf|Mish|Softplus|Swish|Exp|Sqrt|Pow|Add|Sub|Mul|Div|Sum|Neg|Min|Max|Abs|Where|Quantize\w+|Dequantize\w+)$/,
    pool: /Pool|^Reduce|^ArgM|^TopK|^CumSum/,
    shape: /^(Reshape|Transpose|Flatten|Squeeze|Unsqueeze|Concat|Split|Slice|Gather\w*|Scatter\w*|Pad|Expand|Tile|Shape|Size|Cast|Identity|Constant\w*|Resize|Upsample|DepthToSpace|SpaceToDepth|Dropout|Range|NonZero)$/,
  };
  const kindOf = (op) => {
    const name = op.split("::").at(-1);
    return Object.keys(KINDS).find((kind) => KINDS[kind].test(name)) ?? "other";
  };

  /** A box: a node, an end of the graph, or a block, with what is inside. */
  const boxes = [];
  const parentOf = new Map(), boxOfNode = new Map();
  const make = (member, parent) => {
    const box = { id: boxes.length, parent, isOpen: false };
    boxes.push(box);
    if (typeof member === "string") Object.assign(box, { type: "end", end: Number(member), title: ends[member][0], sub: [ends[member][1]] });
    else if (member >= 0) {
      const [name, op, , nbytes, macs, slow] = nodes[member];
      boxOfNode.set(member, box);
      Object.assign(box, { type: "node", node: member, title: op.split("::").at(-1), name, nbytes, macs, slow, count: 1 });
      box.sub = [shortName(name), nbytes ? pelemay.bytes(nbytes) : ""].filter(Boolean);
    } else {
      const [title, kind, members, layers, places, edges] = blocks[-1 - member];
      Object.assign(box, { type: "block", kind, title, layers, places, edges });
      box.inside = members.map((one) => make(one, box));
      const real = box.inside.filter((one) => one.type !== "end");
      for (const key of ["nbytes", "macs", "slow", "count"]) box[key] = real.reduce((sum, one) => sum + one[key], 0);
      box.sub = subOf(box);
    }
    return box;
  };
  const shortName = (name) => (name.length > 22 ? `…${name.split("/").at(-1).slice(-20)}` : name);
  const subOf = (box) => {
    const parts = box.kind === "layer" ? [box.inside.map((one) => one.title).slice(1).join(", ")] : [`${box.count} nodes`];
    if (box.nbytes) parts.push(pelemay.bytes(box.nbytes));
    if (box.macs && box.kind !== "layer") parts.push(`${pelemay.threeDigits(box.macs / 1e6)} MMAC`);
    return parts.filter(Boolean).map((one) => one.replaceAll("Normalization", "Norm"));
  };
  const root = make(-1, null);
  root.isOpen = true;

  // ---- Where it goes ----

  const size = (box) => {
    if (!box.isOpen) {
      box.width = box.type === "end" ? Math.max(120, 30 + 7.4 * Math.min(30, Math.max(box.title.length, box.sub[0].length))) : WIDTH;
      box.height = HEIGHT;
      return;
    }
    box.inside.forEach(size);
    place(box);
  };

  /** Sizes of the layers of an open box, and places of all that is in it, from its upper left corner. */
  const place = (box) => {
    const { inside, layers, places } = box;
    const isPort = (i) => i >= inside.length && i < inside.length + (box === root ? 0 : 2);
    const widthOf = (i) => (i < inside.length ? inside[i].width : BEND);
    const heightOf = (i) => (i < inside.length ? inside[i].height : isPort(i) ? 0 : 1);
    const rows = [];
    layers.forEach((layer, i) => (rows[layer] ??= []).push(i));
    const x = [], y = [], tops = [], tall = [];
    let top = 0;
    rows.forEach((row, layer) => {
      row.sort((a, b) => places[a] - places[b]);
      tops[layer] = top;
      tall[layer] = Math.max(...row.map(heightOf));
      top += tall[layer] + (tall[layer] > 0 ? DOWN : DOWN / 2);
      spread(row, places, widthOf).forEach((at, k) => { x[row[k]] = at; });
    });
    straighten(box, rows, x, widthOf);
    const every = layers.map((_, i) => i);
    const low = Math.min(...every.map((i) => x[i] - widthOf(i) / 2)), high = Math.max(...every.map((i) => x[i] + widthOf(i) / 2));
    const isRoot = box === root, pad = isRoot ? 0 : PAD, head = isRoot ? 0 : HEAD;
    box.width = Math.max(high - low + 2 * pad, isRoot ? 0 : WIDTH + 2 * pad);
    const shift = pad - low + (box.width - 2 * pad - (high - low)) / 2;
    box.height = top - DOWN + head + (isRoot ? 0 : PAD / 2);
    every.forEach((i) => {
      x[i] += shift;
      y[i] = head + tops[layers[i]] + (tall[layers[i]] - heightOf(i)) / 2;
      if (i < inside.length) { inside[i].x = x[i] - inside[i].width / 2; inside[i].y = y[i]; }
    });
    box.at = { x, y, tops: tops.map((t) => t + head), tall };
  };

  /** Middles of the boxes of a layer, as near to where they were put as their widths allow. */
  const spread = (row, places, widthOf) => {
    const wanted = row.map((i) => places[i] * (WIDTH + ACROSS) * 0.62), found = [...wanted];
    for (let k = 1; k < row.length; k++) {
      const least = found[k - 1] + (widthOf(row[k - 1]) + widthOf(row[k])) / 2 + ACROSS;
      found[k] = Math.max(found[k], least);
    }
    const drift = found.reduce((sum, value, k) => sum + value - wanted[k], 0) / row.length;
    return found.map((value) => value - drift);
  };

  /** Move boxes towards what they are joined to, where their neighbours leave room. */
  const straighten = (box, rows, x, widthOf) => {
    const above = x.map(() => []), below = x.map(() => []);
    for (const [source, target, bends] of box.edges) {
      const path = [source, ...bends, target];
      for (let k = 1; k < path.length; k++) { below[path[k - 1]].push(path[k]); above[path[k]].push(path[k - 1]); }
    }
    // The last pass goes down, so that what has one source lies right below it.
    for (let round = 0; round < 6; round++) {
      const near = round % 2 ? above : below;
      for (const row of round % 2 ? rows : [...rows].reverse()) {
        row.forEach((i, k) => {
          if (!near[i].length) return;
          const low = k ? x[row[k - 1]] + (widthOf(row[k - 1]) + widthOf(i)) / 2 + ACROSS : -Infinity;
          const high = k + 1 < row.length ? x[row[k + 1]] - (widthOf(row[k + 1]) + widthOf(i)) / 2 - ACROSS : Infinity;
          const wanted = near[i].reduce((sum, j) => sum + x[j], 0) / near[i].length;
          if (low <= high) x[i] = Math.min(Math.max(wanted, low), high);
        });
      }
    }
  };

  // ---- Drawing ----

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

  // ---- Opening and closing ----

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

  // ---- Moving ----

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

  // ---- What is pointed at ----

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

  // ---- The keyboard ----

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

  // ---- Finding ----

  let hits = [], at = -1;
  const find = (text) => {
    hits.forEach((box) => box.shown?.classList.remove("hit"));
    const wanted = text.trim().toLowerCase();
    hits = wanted ? boxes.filter((box) => box !== root && [box.title, box.name].some((one) => one?.toLowerCase().includes(wanted))) : [];
    at = -1;
    $("found").textContent = wanted ? `${hits.length} found` : "";
    hits.forEach((box) => box.shown?.classList.add("hit"));
  };
  $("search").addEventListener("input", (event) => find(event.target.value));
  $("search").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !hits.length) return;
    at = (at + (event.shiftKey ? -1 : 1) + hits.length) % hits.length;
    reveal(hits[at]);
    $("found").textContent = `${at + 1} of ${hits.length}`;
  });

  $("zoom-in").addEventListener("click", () => zoom(1.3));
  $("zoom-out").addEventListener("click", () => zoom(1 / 1.3));
  $("zoom-all").addEventListener("click", fit);
  $("open-all").addEventListener("click", () => openAll(true));
  $("close-all").addEventListener("click", () => openAll(false));
  for (const row of document.querySelectorAll("#nodes tr[data-key]")) {
    row.addEventListener("click", () => {
      reveal(boxOfNode.get(Number(row.dataset.key)));
      stage.scrollIntoView({ block: "center" });
    });
  }

  const real = root.inside.filter((one) => one.type === "block");
  if (real.length === 1) real[0].isOpen = true;
  render();
  begin();
  describe(root);
  details.querySelector("h3").textContent = "the whole graph";
  new ResizeObserver(() => move()).observe(stage);
  pelemay.graph = { boxes, view, root, boxOfNode };
})();
