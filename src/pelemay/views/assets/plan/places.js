// Where things are on the canvas. Time goes to the right, as steps or estimated time; bytes go upwards.

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
