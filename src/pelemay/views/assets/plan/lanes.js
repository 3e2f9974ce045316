// Below the arena: the operations, and the weights as they are read.

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
