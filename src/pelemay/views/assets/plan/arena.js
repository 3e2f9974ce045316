// The values in the arena, their rings, the bands, the peak.

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
