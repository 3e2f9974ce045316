// The picture: colours, pens, axes.

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
