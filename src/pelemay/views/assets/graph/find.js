// Finding, the buttons, and the beginning.

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
