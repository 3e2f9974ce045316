// The table of layers.

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
