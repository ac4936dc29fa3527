// What the data on the page means. `content` and `code` are written by graphc.inspect.content.

const $ = id => document.getElementById(id);
const data = JSON.parse($("content").textContent);
const { nodes, kernels, storages, passes } = data;

const NODE = { op: 0, attributes: 1, name: 2, type: 3, part: 4, line: 5, scope: 6, inputs: 7,
               bytes: 8, flops: 9, number: 10 };
const get = (id, column) => nodes[id][NODE[column]];
const PARTS = ["forward", "backward", "update"];
const FILL = ["#d9e9fa", "#fde0ca", "#d8efd8"], GROUND = ["#f3f8fe", "#fef6f0", "#f3faf3"];
const LINE = ["#2a6db0", "#c2601a", "#3a8a3f"];
const GREY = "#66717c", STATE = "#fff3c4", CHANGED = "#d0021b", FOUND = "#f5c518", KEPT = "#9b1fb0";

const scopes = data.scopes.map(s => s.split("/").filter(Boolean));
const scopeOf = id => scopes[get(id, "scope")];
const kept = new Set(data.kept);
const kernelsOf = new Map();  // node -> kernels that compute it
kernels.forEach((k, i) => k.nodes.forEach(n => push(kernelsOf, n, i)));

function push(map, key, value) {
  const list = map.get(key);
  if (list) list.push(value); else map.set(key, [value]);
}

function scaled(value, unit, names) {
  for (const [name, scale] of names)
    if (value >= scale) return `${+(value / scale).toPrecision(3)} ${name}${unit}`;
  return `${value} ${unit}`;
}
const bytesText = v => scaled(v, "B", [["G", 1e9], ["M", 1e6], ["k", 1e3]]);
const flopsText = v => scaled(v, "FLOP", [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]);
const timeText = s => `${(s * 1e6).toFixed(2)} µs`;
const titleOf = id => get(id, "name") || `${get(id, "op")} ${data.names[id] ?? ""}`.trim();
const typeOf = id => data.types[get(id, "type")];
const lineOf = id => data.lines[get(id, "line")];

// For every pass: the new nodes; what stands for a node that has gone, and by which rules; what a
// node was before; and what else it stands for now.
const fates = passes.map(p => {
  const fresh = new Set(p.new), after = new Map(), before = new Map(), absorbed = new Map();
  for (const [old, now, rules] of p.gone) {
    after.set(old, [now, rules]);
    const first = fresh.has(now) && !(before.has(now) && get(before.get(now), "op") === get(now, "op"));
    if (first) before.set(now, old);
  }
  for (const [old, now] of p.gone) if (now !== null && before.get(now) !== old) push(absorbed, now, old);
  return { fresh, after, before, absorbed };
});

function presentAt(pass) {
  const here = new Set();
  for (let k = 0; k <= pass; k++) {
    for (const [old] of passes[k].gone) here.delete(old);
    for (const id of passes[k].new) here.add(id);
  }
  return here;
}

function readersIn(here) {
  const found = new Map();
  for (const id of here) for (const i of new Set(get(id, "inputs"))) push(found, i, id);
  return found;
}
