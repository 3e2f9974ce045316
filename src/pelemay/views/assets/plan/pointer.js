// What is pointed at, and what is said of it.

const drawOver = () => {
  const pen = context(over), a = areas(), { frame, node } = seen;
  const first = frame.first.get(node), last = frame.last.get(node);
  clipped(pen, a, [a.arena[0], chart.clientHeight - a.arena[0] - AXIS], () => {
    if (first !== undefined) {
      const x = xOf(a, ofStep(first)), right = xOf(a, ofStep(last + 1));
      pen.fillStyle = faded(colours.accent, 0.12);
      pen.fillRect(x, a.arena[0], Math.max(right - x, 1), chart.clientHeight);
      pen.strokeStyle = colours.text;
      pen.lineWidth = 2;
      for (const [begin, end, offset, nbytes] of boxesOf(node)) {
        const left = xOf(a, ofStep(begin)), y = arenaY(a, offset + nbytes);
        pen.strokeRect(left, y, Math.max(xOf(a, ofStep(end + 1)) - left, 2), Math.max(arenaY(a, offset) - y, 2));
      }
    }
    if (seen.at?.load) {
      const box = loadBox(a, seen.at.load);
      pen.strokeStyle = colours.text;
      pen.lineWidth = 2;
      pen.strokeRect(box.x, box.y, Math.max(box.end - box.x, 2), Math.max(box.low - box.y, 2));
    }
  });
};

/** Where the values lie that a node makes: [first step, last, offset, bytes]. */
const boxesOf = (node) => seen.frame.buffers.flatMap(([, , , last, isRows, values]) =>
  values
    .filter((value) => seen.frame.steps[3 * value[4]] === node)
    .map((value) => [value[4], isRows ? value[5] : Math.min(Math.max(value[5], value[4]), last), value[2], value[3]]));

const inside = ([top, height], y) => y >= top && y < top + height;

const find = (x, y) => {
  const a = areas();
  if (x < a.left || x > a.left + a.width || !seen.frame.count) return null;
  const value = valueOf(a, x), step = stepAt(value);
  if (inside(a.arena, y)) return findValue(step, nbytesOf(a, y));
  if (a.weights && inside(a.weights, y)) return findLoad(a, x, y, step);
  return inside(a.lane, y) ? { step, node: seen.frame.steps[3 * step] } : null;
};

const findValue = (step, address) => {
  const buffer = seen.frame.buffers.find(([offset, nbytes, first, last]) =>
    first <= step && step <= last && offset <= address && address < offset + nbytes);
  if (!buffer) return null;
  const here = buffer[5].filter((v) => v[2] <= address && address < v[2] + v[3]);
  const made = here.filter((v) => v[4] <= step).at(-1) ?? here[0];
  if (!made) return { step, node: seen.frame.steps[3 * step], buffer };
  const cell = seen.frame.cells.find((c) => c[2] <= step && step < c[3] && c[0] <= address && address < c[0] + c[1]);
  return { step, node: seen.frame.steps[3 * made[4]], buffer, value: made, cell };
};

const findLoad = (a, x, y, step) => {
  const load = seen.frame.loads.find((one) => {
    const box = loadBox(a, one);
    return box.x <= x && x <= Math.max(box.end, box.x + 2) && box.y <= y && y <= box.low;
  });
  if (!load) return null;
  return { step, load, node: seen.frame.steps[3 * ofInstruction(load[2]).step] };
};

const nameOf = (step) => {
  const layer = layers[seen.frame.steps[3 * step]];
  return `step ${step}, ${layer.op} ${layer.name}`;
};

const textOf = (found) => {
  const { frame } = seen;
  const layer = layers[found.node];
  if (found.load) {
    const [slot, nbytes, first, last, , stays] = found.load;
    const from = ofInstruction(first).step, to = ofInstruction(last).step;
    return `weights of ${layer.name}\n${pelemay.bytes(nbytes)} at byte ${slot.toLocaleString("en")}\n` +
      (stays ? "read once, stays in memory" : "read in every run") +
      `\nused from ${nameOf(from)}${to > from ? `\nto ${nameOf(to)}` : ""}`;
  }
  if (!found.value) return `step ${found.step}: ${layer.op}\n${layer.name}\nholds ${pelemay.bytes(frame.held[found.step])}`;
  const [name, type, offset, nbytes, born, dies, ring] = found.value;
  const rows = found.cell ? `\nhere: row${found.cell[7] - found.cell[6] > 1 ? `s ${found.cell[6]} to ${found.cell[7] - 1}` : ` ${found.cell[6]}`} of ${layer.rows}` : "";
  return `${name}\n${type}\n${nbytes.toLocaleString("en")} bytes at byte ${offset.toLocaleString("en")}` +
    (ring ? `\n${ring} of its ${layer.rows} rows are held at a time` : "") + rows +
    `\nborn: ${nameOf(born)}\ndies: ${nameOf(dies)}`;
};

const light = (node) => {
  if (node === seen.node) return;
  rows[seen.node]?.classList.remove("lit");
  seen.node = node;
  rows[node]?.classList.add("lit");
};

const show = (found) => {
  seen.at = found;
  light(found ? found.node : -1);
  over.style.cursor = found ? "pointer" : "grab";
  drawOver();
};

const tell = (found, x, y) => {
  const box = over.getBoundingClientRect();
  pelemay.showTip(textOf(found), box.left + x, box.top + y);
};

/** Bring a row into sight without moving the page. */
const reveal = (node) => {
  const row = rows[node], pane = body.closest(".scroll");
  if (row && pane.scrollHeight > pane.clientHeight)
    pane.scrollTo({ top: row.offsetTop - pane.clientHeight / 2, behavior: "smooth" });
};
