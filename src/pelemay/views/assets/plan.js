// The page of a plan: what lies where in memory, and when. Time goes to the right, bytes upwards.
// A frame is one plan; the slider chooses which is shown. Positions are steps, or estimated time.
"use strict";

(() => {
  const { layers, frames } = pelemay.data("plan");
  const $ = (id) => document.getElementById(id);
  const slider = $("limit"), chart = $("chart"), over = $("over"), body = $("layers").tBodies[0];
  const seen = { frame: null, byTime: true, sameScale: false, from: 0, to: 1, low: 0, high: 1, node: -1, at: null };

  // ---- Names ----

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

  // ---- What is worked out of a frame once ----

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

  // ---- Where things are on the canvas ----

  const TITLE = 20, PEAK = 24, LANE = 18, AXIS = 40, RIGHT = 10;
  const areas = () => {
    const width = chart.clientWidth, height = chart.clientHeight;
    const left = width < 500 ? 54 : 66;
    const top = TITLE + PEAK, free = height - top - LANE - AXIS;
    const weights = seen.frame.memory ? Math.round((free - TITLE) * 0.3) : 0;
    const arena = free - (weights ? weights + TITLE + 14 : 8);
    const lane = top + arena + 6;
    return { left, width: width - left - RIGHT, arena: [top, arena], lane: [lane, LANE], weights: weights && [lane + LANE + TITLE + 4, weights] };
  };

  const most = () => (seen.byTime ? seen.frame.times.at(-1) : seen.frame.count);
  const ofStep = (s) => (seen.byTime ? seen.frame.times[s] : s);
  const stepAt = (value) => {
    if (!seen.byTime) return Math.min(Math.max(0, Math.floor(value)), seen.frame.count - 1);
    let low = 0, high = seen.frame.count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (seen.frame.times[middle] <= value) low = middle; else high = middle - 1;
    }
    return low;
  };
  /** The step of an instruction, and how much of the step's instructions are before it. */
  const ofInstruction = (instruction) => {
    const { starts } = seen.frame;
    let low = 0, high = starts.length - 2;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= instruction) low = middle; else high = middle - 1;
    }
    const share = (instruction - starts[low]) / Math.max(1, starts[low + 1] - starts[low]);
    return { step: low, value: ofStep(low) + Math.min(1, share) * (ofStep(low + 1) - ofStep(low)) };
  };

  const xOf = (a, value) => a.left + ((value / most() - seen.from) / (seen.to - seen.from)) * a.width;
  const valueOf = (a, x) => (seen.from + ((x - a.left) / a.width) * (seen.to - seen.from)) * most();
  const arenaTop = () => (seen.sameScale ? Math.max(...frames.map((f) => f.arena)) : seen.frame.arena) || 1;
  const yOf = ([top, height], nbytes, whole, low = 0, high = 1) =>
    top + height - ((nbytes / whole - low) / (high - low)) * height;
  const arenaY = (a, nbytes) => yOf(a.arena, nbytes, arenaTop(), seen.low, seen.high);
  const nbytesOf = (a, y) => {
    const [top, height] = a.arena;
    return (seen.low + ((top + height - y) / height) * (seen.high - seen.low)) * arenaTop();
  };

  // ---- Drawing ----

  let colours = {};
  const readColours = () => {
    for (const name of ["page", "raised", "text", "quiet", "rule", "grid", "blue", "green", "purple", "vermilion", "orange", "accent"])
      colours[name] = pelemay.colour(`--${name}`);
  };
  const fades = new Map();
  const faded = (colour, share) => {
    const key = `${colour}${share}`;
    if (!fades.has(key)) {
      const [, list] = colour.match(/^rgba?\(([^)]+)\)$/);
      fades.set(key, `rgba(${list.split(",").slice(0, 3)}, ${share})`);
    }
    return fades.get(key);
  };

  const context = (canvas) => {
    const ratio = window.devicePixelRatio || 1, { clientWidth, clientHeight } = canvas;
    if (canvas.width !== Math.round(clientWidth * ratio)) canvas.width = Math.round(clientWidth * ratio);
    if (canvas.height !== Math.round(clientHeight * ratio)) canvas.height = Math.round(clientHeight * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, clientWidth, clientHeight);
    pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    pen.textBaseline = "middle";
    return pen;
  };

  const shortened = (pen, text, room) => {
    if (pen.measureText(text).width <= room) return text;
    let keep = Math.floor(room / 6.4) - 1;
    while (keep > 2 && pen.measureText(`…${text.slice(-keep)}`).width > room) keep--;
    return keep > 2 ? `…${text.slice(-keep)}` : "";
  };

  const clipped = (pen, a, [top, height], draw) => {
    pen.save();
    pen.beginPath();
    pen.rect(a.left, top, a.width, height);
    pen.clip();
    draw();
    pen.restore();
  };

  const draw = () => {
    if (!seen.frame || !chart.clientWidth) return;
    const pen = context(chart), a = areas();
    drawAxes(pen, a);
    clipped(pen, a, a.arena, () => { drawChains(pen, a); drawBuffers(pen, a); });
    drawTop(pen, a);
    drawLane(pen, a);
    if (a.weights) drawWeights(pen, a);
    drawPeak(pen, a);
    drawOver();
  };

  const roundSteps = (whole, about) => {
    const power = 10 ** Math.floor(Math.log10(whole / about));
    return [1, 2, 5, 10].map((n) => n * power).find((size) => whole / size <= about) ?? 10 * power;
  };

  /** Without zeros that say nothing. */
  const plain = (text) => text.replace(/^0 .*/, "0").replace(/(\.\d*?)0+ /, "$1 ").replace(". ", " ");

  const drawAxes = (pen, a) => {
    pen.textAlign = "right";
    const bottom = (a.weights || a.lane)[0] + (a.weights || a.lane)[1];
    for (const [area, whole, low, high, about] of [
      [a.arena, arenaTop(), seen.low, seen.high, a.arena[1] / 60],
      ...(a.weights ? [[a.weights, seen.frame.memory, 0, 1, a.weights[1] / 36]] : []),
    ]) {
      const size = roundSteps(whole * (high - low), Math.max(2, about));
      for (let value = Math.ceil((low * whole) / size) * size; value <= high * whole * 1.0001; value += size) {
        const y = yOf(area, value, whole, low, high);
        pen.fillStyle = colours.grid;
        pen.fillRect(a.left, Math.round(y), a.width, 1);
        pen.fillStyle = colours.quiet;
        pen.fillText(plain(pelemay.bytes(value)), a.left - 8, y);
      }
    }
    pen.textAlign = "left";
    pen.fillStyle = colours.quiet;
    pen.fillText("arena: values between operations", a.left, TITLE / 2 - 1);
    if (a.weights) pen.fillText(`weights in memory: ${pelemay.bytes(seen.frame.memory)}`, a.left, a.weights[0] - TITLE / 2);
    drawTicks(pen, a, bottom);
  };

  const drawTicks = (pen, a, bottom) => {
    const span = (seen.to - seen.from) * most();
    const size = Math.max(roundSteps(span, Math.max(2, a.width / 90)), seen.byTime ? 0 : 1);
    pen.textAlign = "center";
    for (let value = Math.ceil((seen.from * most()) / size) * size; value <= seen.to * most() * 1.0001; value += size) {
      const x = xOf(a, value), text = seen.byTime ? plain(pelemay.time(value * 1000)) : `${Math.round(value)}`;
      pen.fillStyle = colours.rule;
      pen.fillRect(Math.round(x), bottom, 1, 5);
      pen.fillStyle = colours.quiet;
      const half = pen.measureText(text).width / 2;
      pen.fillText(text, Math.min(Math.max(x, a.left + half), a.left + a.width - half), bottom + 14);
    }
    pen.textAlign = "right";
    pen.fillText(seen.byTime ? "estimated time of computing" : "step", a.left + a.width, bottom + 31);
  };

  const drawChains = (pen, a) => {
    const [top, height] = a.arena;
    for (const [begin, end] of seen.frame.chains) {
      const x = xOf(a, ofStep(begin)), right = xOf(a, ofStep(end));
      pen.fillStyle = faded(colours.green, 0.09);
      pen.fillRect(x, top, right - x, height);
    }
  };

  const drawBuffers = (pen, a) => {
    const right = a.left + a.width, { frame } = seen;
    const boxes = [];
    frame.buffers.forEach(([offset, nbytes, first, last, isRows, values], index) => {
      const x = xOf(a, ofStep(first)), end = xOf(a, ofStep(last + 1));
      if (end < a.left || x > right) return;
      const y = arenaY(a, offset + nbytes), low = arenaY(a, offset);
      const banded = isRows || frame.banded[index];
      pen.fillStyle = faded(isRows ? colours.green : colours.blue, isRows ? 0.2 : banded ? 0.35 : index % 2 ? 0.82 : 0.62);
      pen.fillRect(x, y, Math.max(end - x, 0.6), Math.max(low - y, 0.6));
      boxes.push([x, y, end, low, isRows, values, banded]);
    });
    drawCells(pen, a);
    for (const box of boxes) drawFrameOf(pen, a, box);
  };

  const drawCells = (pen, a) => {
    const right = a.left + a.width;
    for (const cell of seen.frame.cells) {
      const x = xOf(a, ofStep(cell[2])), end = xOf(a, ofStep(cell[3]));
      if (end < a.left || x > right) continue;
      const y = arenaY(a, cell[0] + cell[1]), low = arenaY(a, cell[0]);
      pen.fillStyle = faded(cell.isRing ? colours.green : colours.blue, cell[4] ? 0.72 : 0.45);
      pen.fillRect(x, y, Math.max(end - x, 0.5), Math.max(low - y, 0.4));
    }
  };

  const drawFrameOf = (pen, a, [x, y, end, low, isRows, values, banded]) => {
    const room = Math.min(end, a.left + a.width) - Math.max(x, a.left);
    pen.strokeStyle = colours.page;
    pen.lineWidth = room > 3 ? 1 : 0.4;
    pen.strokeRect(x, y, end - x, low - y);
    if (isRows || banded) {
      // Of values that take each other's place the last one names it.
      for (const value of new Map(values.map((one) => [one[2], one])).values()) {
        const top = arenaY(a, value[2] + value[3]), bottom = arenaY(a, value[2]);
        if (isRows) pen.strokeRect(x, top, end - x, bottom - top);
        label(pen, a, brief(value[0]), x, top, end, bottom, colours.text);
      }
      return;
    }
    const births = values.filter((value, i) => !i || value[4] > values[i - 1][4]);
    births.forEach((value, i) => {
      const from = i ? xOf(a, ofStep(value[4])) : x;
      const to = i + 1 < births.length ? xOf(a, ofStep(births[i + 1][4])) : end;
      if (i && to - from > 2) { pen.fillStyle = faded(colours.page, 0.7); pen.fillRect(from, y, 1, low - y); }
      label(pen, a, brief(value[0]), from, y, to, low, colours.page);
    });
  };

  const label = (pen, a, text, x, y, end, low, colour) => {
    const left = Math.max(x, a.left) + 5, room = Math.min(end, a.left + a.width) - left - 4;
    const top = Math.max(y, a.arena[0]), height = Math.min(low, a.arena[0] + a.arena[1]) - top;
    if (room < 34 || height < 14) return;
    pen.textAlign = "left";
    const shown = shortened(pen, text, room);
    if (colour === colours.text && shown) {
      pen.fillStyle = faded(colours.page, 0.72);
      pen.fillRect(left - 3, top + height / 2 - 8, pen.measureText(shown).width + 6, 16);
    }
    pen.fillStyle = colour;
    pen.fillText(shown, left, top + height / 2 + 0.5);
  };

  const drawTop = (pen, a) => {
    const y = arenaY(a, seen.frame.arena), [top, height] = a.arena;
    if (y < top - 1 || y > top + height) return;
    pen.fillStyle = colours.quiet;
    pen.fillRect(a.left, Math.round(y), a.width, 1);
  };

  const drawLane = (pen, a) => {
    const [top, height] = a.lane, { frame } = seen;
    clipped(pen, a, a.lane, () => {
      let shade = 0;
      for (const [begin, end] of spans(frame)) {
        const x = xOf(a, ofStep(begin)), right = xOf(a, ofStep(end));
        shade = 1 - shade;
        if (right < a.left || x > a.left + a.width) continue;
        const chain = frame.chains.find((c) => c[0] === begin);
        const isLit = seen.node >= 0 && begin <= (frame.last.get(seen.node) ?? -1) && (frame.first.get(seen.node) ?? Infinity) < end;
        pen.fillStyle = isLit ? colours.accent : faded(chain ? colours.green : colours.quiet, shade ? 0.32 : 0.2);
        pen.fillRect(x, top, Math.max(right - x - (right - x > 3 ? 1 : 0), 0.3), height);
        const text = chain ? `${pace(chain)}` : layers[frame.steps[3 * begin]].op;
        const left = Math.max(x, a.left) + 4, room = Math.min(right, a.left + a.width) - left - 3;
        if (room < 26) continue;
        pen.textAlign = "left";
        pen.fillStyle = isLit ? colours.page : colours.text;
        const shown = [text, chain ? "chain" : ""].find((one) => pen.measureText(one).width <= room) ?? "";
        pen.fillText(shown, left, top + height / 2 + 0.5);
      }
    });
  };

  const pace = ([, , rows, label]) => `${label.match(/chain of \d+ nodes/)?.[0] ?? "chain"}, ${rows === 1 ? "1 row" : `${rows} rows`} at a time`;

  /** Nodes that run whole, and chains: [first step, end]. */
  const spans = (frame) => {
    if (frame.spans) return frame.spans;
    const found = [];
    for (let s = 0; s < frame.count;) {
      const chain = frame.chains.find((c) => c[0] === s);
      const end = chain ? chain[1] : s + 1;
      found.push([s, end]);
      s = end;
    }
    return (frame.spans = found);
  };

  const loadBox = (a, [slot, nbytes, first, last, after, stays]) => {
    const { starts } = seen.frame;
    const begin = ofInstruction(first).value;
    const end = ofInstruction(Math.min(last + 1, starts.at(-1))).value;
    const read = after === null || after < 0 ? 0 : Math.min(ofInstruction(after + 1).value, begin);
    return {
      x: xOf(a, read), use: xOf(a, begin), end: xOf(a, stays ? most() : end), used: xOf(a, end),
      y: yOf(a.weights, slot + nbytes, seen.frame.memory), low: yOf(a.weights, slot, seen.frame.memory),
    };
  };

  const drawWeights = (pen, a) => {
    const right = a.left + a.width;
    clipped(pen, a, a.weights, () => {
      seen.frame.loads.forEach((load, i) => {
        const box = loadBox(a, load);
        if (box.end < a.left || box.x > right) return;
        const height = Math.max(box.low - box.y, 0.5);
        pen.fillStyle = faded(colours.purple, load[5] ? 0.28 : 0.22);
        pen.fillRect(box.x, box.y, Math.max(box.end - box.x, 0.5), height);
        pen.fillStyle = faded(colours.purple, i % 2 ? 0.95 : 0.75);
        pen.fillRect(box.use, box.y, Math.max(box.used - box.use, 0.7), height);
        if (height > 4) { pen.fillStyle = colours.page; pen.fillRect(box.x, box.y, box.end - box.x, 0.6); }
      });
    });
  };

  const peakText = ({ step, label }) => {
    const chain = seen.frame.chains.find((c) => c[0] <= step && step < c[1]);
    const layer = layers[seen.frame.steps[3 * step]];
    if (!chain) return `${layer.op} ${brief(layer.name)}`;
    const [, from, to] = label.match(/nodes, (.*) to (.*)$/) ?? ["", layer.name, layer.name];
    return `${label.split(",")[0]}, ${brief(from)} to ${brief(to)}`;
  };

  const drawPeak = (pen, a) => {
    const { peak } = seen.frame;
    if (!peak) return;
    const x = Math.max(xOf(a, ofStep(peak.step)), a.left), right = Math.min(xOf(a, ofStep(peak.end)), a.left + a.width);
    if (right < a.left || x > a.left + a.width) return;
    const y = Math.max(arenaY(a, seen.frame.arena), a.arena[0]), middle = (x + right) / 2;
    pen.strokeStyle = colours.vermilion;
    pen.lineWidth = 1.5;
    pen.strokeRect(x, y + 0.75, Math.max(right - x, 2), a.arena[0] + a.arena[1] - y - 1.5);
    const room = a.width - 20, head = `peak ${pelemay.bytes(peak.bytes)}: `;
    pen.font = pen.font.replace(/^/, "600 ");
    const text = head + shortened(pen, peakText(peak), room - pen.measureText(head).width);
    const width = pen.measureText(text).width + 12;
    const left = Math.min(Math.max(middle - width / 2, a.left), a.left + a.width - width);
    const line = TITLE + 1;
    pen.beginPath();
    pen.moveTo(Math.min(Math.max(middle, left + 6), left + width - 6), line + 19);
    pen.lineTo(middle, y);
    pen.stroke();
    pen.lineWidth = 1;
    pen.strokeRect(left + 0.5, line + 0.5, width - 1, 18);
    pen.fillStyle = colours.vermilion;
    pen.textAlign = "left";
    pen.fillText(text, left + 6, line + 10);
    pen.font = pen.font.replace(/^600 /, "");
  };

  // ---- What is pointed at ----

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

  // ---- The table ----

  const rows = layers.map((layer, number) => {
    const row = document.createElement("tr");
    row.tabIndex = -1;
    const cell = (tag, text, value, isNumber) => {
      const made = document.createElement(tag);
      made.textContent = text;
      if (value !== undefined) made.dataset.value = value;
      if (isNumber) made.className = "number";
      row.append(made);
      return made;
    };
    // The end of a long name tells it from the others: it is cut at its beginning.
    const name = document.createElement("bdi");
    name.textContent = brief(layer.name);
    cell("th", "").append(name);
    row.cells[0].scope = "row";
    row.cells[0].title = layer.name;
    cell("td", layer.op);
    cell("td", "", 0, true);
    cell("td", "", 0, true);
    cell("td", layer.macs ? pelemay.threeDigits(layer.macs / 1e6) : "", layer.macs, true);
    cell("td", layer.weights ? pelemay.bytes(layer.weights) : "", layer.weights, true);
    cell("td", "", 0, true);
    cell("td", layer.result);
    row.addEventListener("pointerenter", () => { light(number); seen.at = null; drawOver(); drawLaneOnly(); });
    row.addEventListener("click", () => centre(number));
    return row;
  });
  body.append(...rows);
  body.addEventListener("pointerleave", () => { light(-1); drawOver(); draw(); });
  const drawLaneOnly = () => requestAnimationFrame(draw);

  const fill = () => {
    const { frame } = seen;
    const groups = new Map();
    for (const chain of frame.chains) for (let s = chain[0]; s < chain[1]; s++) groups.set(frame.steps[3 * s], chain);
    const set = (cell, text, value) => {
      if (cell.textContent !== text) cell.textContent = text;
      cell.dataset.value = value;
    };
    rows.forEach((row, number) => {
      const first = frame.first.get(number), chain = groups.get(number);
      const held = first === undefined ? 0 : frame.held[chain ? chain[0] : first];
      set(row.cells[2], held ? pelemay.bytes(held) : "", held);
      set(row.cells[3], frame.micros[number] ? pelemay.time(frame.micros[number] * 1000) : "", frame.micros[number]);
      const pace = chain ? frame.steps[3 * first + 2] - frame.steps[3 * first + 1] : 0;
      set(row.cells[6], chain ? `${Math.max(pace, chain[2])} of ${layers[number].rows}` : "", chain ? chain[2] : 0);
    });
  };

  // ---- Choosing a frame ----

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

  // ---- Moving about ----

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
})();
