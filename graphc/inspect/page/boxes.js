// The graph after a pass as boxes: a node, or a closed scope with all nodes of one part in it.

const state = { pass: passes.length - 1, open: new Set(), tab: "graph", chosen: null, found: new Set() };
let here = presentAt(state.pass), readers = readersIn(here), boxOf = new Map();

const ends = pass => {  // results of the graph: node -> names
  const map = new Map();
  for (const [name, id] of passes[pass].outputs) push(map, id, name);
  for (const [p, id] of passes[pass].updates) push(map, id, `new ${titleOf(p)}`);
  return map;
};

function allScopes() {
  const found = new Set();
  for (let id = 0; id < nodes.length; id++) {
    let key = `${get(id, "part")}:`;
    for (const step of scopeOf(id)) found.add(key += `/${step}`);
  }
  return found;
}

function homeOf(id) {  // the outermost closed scope around a node, or the node itself
  let key = `${get(id, "part")}:`;
  for (const step of scopeOf(id)) {
    key += `/${step}`;
    if (!state.open.has(key)) return key;
  }
  return id;
}

function makeBoxes() {
  const results = ends(state.pass), homes = new Map();
  const shown = [...here].filter(id => get(id, "number") === null || results.has(id));
  for (const id of shown.sort((a, b) => a - b)) push(homes, homeOf(id), id);
  const boxes = [], { fresh } = fates[state.pass], made = passes[state.pass].made;
  boxOf = new Map();
  for (const [key, ids] of homes) {
    const id = ids[0], group = typeof key === "string" && ids.length > 1;
    const box = { ids, key, group, part: get(id, "part"), ins: [], outs: [], pick: { kind: "node", id } };
    box.fill = group ? "white" : ["parameter", "constant"].includes(get(id, "op")) ? STATE : FILL[box.part];
    box.line = LINE[box.part];
    if (state.pass && ids.some(n => fresh.has(n) && n in made)) box.line = CHANGED;
    else if (!group && kept.has(id)) box.line = KEPT;
    box.wide = box.line === LINE[box.part] ? 1 : 2.5;
    box.text = group ? groupText(key, ids) : nodeLines(id, results);
    box.w = Math.max(70, 14 + 6.3 * Math.max(...box.text.map(t => t.length)));
    box.h = 12 + 13 * box.text.length;
    box.tip = group ? `${box.text.join("\n")}\ndouble-click opens` : nodeTip(id);
    boxes.push(box);
    for (const n of ids) boxOf.set(n, box);
  }
  return boxes;
}

const short = (text, most = 34) => text.length > most ? `${text.slice(0, most - 1)}…` : text;

function groupText(key, ids) {
  const flops = ids.reduce((sum, id) => sum + get(id, "flops"), 0);
  return [short(`▸ ${key.slice(key.indexOf("/") + 1)}`), `${ids.length} nodes, ${flopsText(flops)}`];
}

function nodeLines(id, results) {
  const numbers = get(id, "inputs").map(i => get(i, "number")).filter(n => n !== null);
  const rows = [short(`${titleOf(id)} ${numbers.length ? `(${numbers.join(", ")})` : ""}`.trim()),
                short(typeOf(id))];
  if (results.has(id)) rows.push(short(`→ ${results.get(id).join(", ")}`));
  return rows;
}

function nodeTip(id) {
  const [place, words] = lineOf(id);
  const own = (kernelsOf.get(id) ?? []).map(k => kernels[k].name);
  return [`${get(id, "op")}(${get(id, "attributes")})  ${typeOf(id)}`, `${place}  ${words}`, ...own].join("\n");
}

function makeEdges(boxes) {
  const edges = [];
  for (const b of boxes) {
    const from = new Set();
    for (const id of b.ids) for (const i of sourcesOf(id)) {
      const a = boxOf.get(i);
      if (a && a !== b) from.add(a);
    }
    for (const a of from) { edges.push([a, b]); b.ins.push(a); a.outs.push(b); }
  }
  return edges;
}

function sourcesOf(id) { return get(id, "inputs").filter(i => boxOf.has(i)); }
