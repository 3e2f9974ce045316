// What is worked out of a plan once: a frame is one plan, and the slider chooses which is shown.

const { layers, frames } = pelemay.data("plan");
const $ = (id) => document.getElementById(id);
const slider = $("limit"), chart = $("chart"), over = $("over"), body = $("layers").tBodies[0];
const seen = { frame: null, byTime: true, sameScale: false, from: 0, to: 1, low: 0, high: 1, node: -1, at: null };

/** What most names begin with says nothing: it is left out where there is little room. */
const prefix = (() => {
  const names = layers.map((layer) => layer.name);
  const starts = (text) => names.filter((name) => name.startsWith(text) && name.length > text.length).length;
  let found = "";
  for (;;) {
    const tails = names.filter((name) => name.startsWith(found)).map((name) => name.slice(found.length).match(/^.*?[_/.:]+/)?.[0]);
    const next = tails.find((tail) => tail && starts(found + tail) >= 0.8 * names.length);
    if (!next) return found;
    found += next;
  }
})();
const brief = (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : name).replace(/::last$/, "");

const sums = (list) => {
  const found = new Float64Array(list.length + 1);
  list.forEach((value, i) => { found[i + 1] = found[i] + value; });
  return found;
};

const prepared = new Map();
const prepare = (index) => {
  if (!prepared.has(index)) prepared.set(index, made(frames[index]));
  return prepared.get(index);
};

const made = (f) => {
  const count = f.steps.length / 3;
  const step = (s) => ({ node: f.steps[3 * s], begin: f.steps[3 * s + 1], end: f.steps[3 * s + 2] });
  const done = new Map();
  for (let s = 0; s < count; s++) {
    const { node, begin, end } = step(s);
    done.set(node, (done.get(node) ?? 0) + (end - begin));
  }
  const times = sums(Array.from({ length: count }, (_, s) => {
    const { node, begin, end } = step(s);
    return f.micros[node] * (end ? (end - begin) / done.get(node) : 1);
  }));
  const first = new Map(), last = new Map();
  for (let s = 0; s < count; s++) {
    if (!first.has(f.steps[3 * s])) first.set(f.steps[3 * s], s);
    last.set(f.steps[3 * s], s);
  }
  const banded = f.buffers.map((buffer) => f.chains.some(([from, to]) => buffer[5].some((v) => v[4] >= from && v[4] < to)));
  return { ...f, count, step, times, first, last, banded, starts: sums(f.instructions), held: heldOf(f, count), cells: cellsOf(f, count) };
};

const heldOf = (f, count) => {
  const changes = new Float64Array(count + 1);
  for (const [, nbytes, first, last] of f.buffers) {
    const whole = Math.ceil(nbytes / 64) * 64;
    changes[first] += whole;
    changes[last + 1] -= whole;
  }
  return sums([...changes]).subarray(1);
};

/** Rows that lie in memory: [offset, bytes, from step, to step, parity]; each until its slot is written again. */
const cellsOf = (f, count) => {
  const rows = new Map(f.rows.map(([node, ...rest]) => [node, rest]));
  const cells = [], slots = new Map();
  for (let s = 0; s < count; s++) {
    const found = rows.get(f.steps[3 * s]);
    const begin = f.steps[3 * s + 1], end = f.steps[3 * s + 2];
    if (!found || !end) continue;
    const [offset, nbytes, ring] = found;
    for (let row = begin; row < end;) {
      const slot = row % ring, stop = Math.min(end, row + ring - slot);
      const cell = [offset + slot * nbytes, (stop - row) * nbytes, s, null, s % 2, f.steps[3 * s], row, stop];
      for (let i = slot; i < slot + stop - row; i++) {
        const place = offset + i * nbytes, before = slots.get(place);
        if (before && before[3] === null) before[3] = s;
        slots.set(place, cell);
      }
      cells.push(cell);
      row = stop;
    }
  }
  const holders = [...f.buffers].sort((a, b) => a[2] - b[2]);
  for (const cell of cells) {
    const holder = holders.find((b) => b[2] <= cell[2] && cell[2] <= b[3] && b[0] <= cell[0] && cell[0] < b[0] + b[1]);
    const end = holder ? holder[3] + 1 : count;
    cell[3] = Math.min(cell[3] ?? end, end);
    cell.isRing = Boolean(holder?.[4]);
  }
  return cells;
};
