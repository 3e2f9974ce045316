// Where boxes go. Their layers are given; how large they are depends on what is open, so that places are
// worked out here, from the innermost block outwards.

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
