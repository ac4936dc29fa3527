// What the user does, and the page itself.

function refresh(keep) {  // the graph has other boxes now: lay it out again
  scenes.graph = graphScene();
  if (!views.graph && state.tab === "graph") fit();
  if (keep && boxOf.get(keep)) centreOn(boxOf.get(keep));
  markChosen();
  redraw();
}

function markChosen() {
  const c = state.chosen;
  const ids = !c ? [] : c.kind === "node" ? [c.id] : c.kind === "kernel" ? kernels[c.id].nodes
    : storages[c.id].node === undefined ? [] : [storages[c.id].node];
  chosenNodes = new Set(ids.map(id => boxOf.get(id)).filter(Boolean));
}

function choose(kind, id, move) {
  state.chosen = { kind, id };
  if (kind === "node" && move) {
    if (!here.has(id)) goTo(fates.findLastIndex(f => f.fresh.has(id)), true);
    let key = `${get(id, "part")}:`;
    for (const step of scopeOf(id)) state.open.add(key += `/${step}`);
    showTab("graph");
    refresh(id);
  } else if (move) {
    const tab = kind === "kernel" ? state.tab === "graph" ? "graph" : "schedule" : storages[id].phases ? "memory" : state.tab;
    showTab(tab);
    const item = tab === "graph" ? boxOf.get((kind === "kernel" ? kernels[id].nodes : []).find(n => boxOf.has(n)))
      : scene().items.find(i => i.pick && i.pick.kind === kind && i.pick.id === id);
    if (item) centreOn(item);
  }
  markChosen();
  showDetails();
  redraw();
}

function chooseGroup(item) {
  state.chosen = null;
  chosenNodes = new Set([item]);
  showDetails([el("h2", {}, item.key.slice(item.key.indexOf("/") + 1)),
    el("p", {}, el("button", { onclick: () => open(item.key, true) }, "open")),
    ...section(`${item.ids.length} nodes`, item.ids.slice(0, 300).map(nodeLink))]);
  redraw();
}

function open(key, yes) {
  if (yes) state.open.add(key);
  else for (const k of [...state.open]) if (k === key || k.startsWith(`${key}/`)) state.open.delete(k);
  const inside = [...here].find(id => boxOf.has(id) && `${get(id, "part")}:/${scopeOf(id).join("/")}/`.startsWith(`${key}/`));
  refresh(inside);
}

function goTo(pass, quiet) {
  let c = state.chosen && state.chosen.kind === "node" && !quiet ? state.chosen.id : null;
  for (let k = state.pass + 1; k <= pass && c !== null; k++) if (fates[k].after.has(c)) c = fates[k].after.get(c)[0];
  for (let k = state.pass; k > pass && c !== null; k--)
    if (fates[k].fresh.has(c)) c = fates[k].before.get(c) ?? null;
  if (state.chosen && state.chosen.kind === "node" && !quiet) state.chosen = c === null ? null : { kind: "node", id: c };
  state.pass = pass;
  here = presentAt(pass);
  readers = readersIn(here);
  $("slider").value = pass;
  $("pass").textContent = `${pass}. ${passes[pass].name}`;
  refresh();
  if (!quiet) showDetails();
}

function search(words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean), hits = [];
  const says = texts => { const t = texts.join(" ").toLowerCase(); return wanted.every(w => t.includes(w)); };
  if (wanted.length) {
    kernels.forEach((k, i) => { if (says([k.name])) hits.push(kernelLink(i)); });
    state.found = new Set([...here].filter(id => says([get(id, "op"), titleOf(id), typeOf(id), data.scopes[get(id, "scope")],
      ...lineOf(id), ...(kernelsOf.get(id) ?? []).map(k => kernels[k].name)])));
    for (const id of state.found) hits.push(nodeLink(id));
  } else state.found = new Set();
  showDetails(wanted.length ? [el("h2", {}, `${hits.length} found`), list(hits.slice(0, 200))] : undefined);
  redraw();
  return hits;
}

function showTab(name) {
  state.tab = name;
  for (const b of $("tabs").children) b.className = b.textContent === name ? "on" : "";
  $("report").style.display = name === "report" ? "block" : "none";
  canvas.style.display = name === "report" ? "none" : "block";
  if (name === "report") return;
  scenes[name] ??= { graph: graphScene, memory: memoryScene, schedule: scheduleScene }[name]();
  if (!views[name]) fit();
  redraw();
}

function build() {
  const tabs = ["graph", "memory", "schedule", "report"].map(t => el("button", { onclick: () => showTab(t) }, t));
  const facts = [`${nodes.length} nodes in all passes`, `${kernels.length} kernels`, flopsText(data.flops), bytesText(data.bytes),
                 ...Object.entries(data.dims).map(([k, v]) => `${k}=${v}`)];
  const seek = el("input", { type: "search", placeholder: "op, name, type, line, kernel", id: "search",
    oninput: e => search(e.target.value),
    onkeydown: e => { if (e.key === "Enter") search(e.target.value)[0]?.click(); } });
  document.body.append(
    el("header", {}, el("h1", {}, data.name), el("span", { id: "tabs" }, ...tabs), seek,
      el("span", {}, "pass ", el("input", { type: "range", id: "slider", min: 0, max: passes.length - 1,
        oninput: e => goTo(+e.target.value) }), " ", el("b", { id: "pass" })),
      el("span", {}, el("button", { onclick: () => { state.open = allScopes(); views.graph = null; refresh(); } }, "open all"), " ",
        el("button", { onclick: () => { state.open = new Set(); views.graph = null; refresh(); } }, "close all"), " ",
        el("button", { onclick: () => { if (state.tab !== "report") { fit(); redraw(); } } }, "fit")),
      el("span", { className: "facts" }, facts.join(", "))),
    el("main", {}, canvas, tip, el("pre", { id: "report" }, data.report)),
    el("aside", { id: "side" }));
  listen();
}

build();
if (here.size <= 150) state.open = allScopes();
showTab("graph");
goTo(state.pass);
draw();
Object.assign(document.documentElement.dataset, {
  ready: Math.round(performance.now()), boxes: scenes.graph.items.length, drawn });
