// What there is: nodes, ends of the graph, blocks with what is inside.

const { nodes, ends, blocks } = pelemay.data("graph");
const $ = (id) => document.getElementById(id);
const stage = $("net"), details = $("details");
const WIDTH = 208, HEIGHT = 46, ACROSS = 26, DOWN = 50, STRAIGHT = 18, PAD = 16, HEAD = 34, BEND = 14;

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
