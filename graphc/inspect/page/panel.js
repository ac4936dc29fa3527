// The panel at the side: everything about what is chosen.

function el(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter(c => c !== null));
  return made;
}
const link = (text, act) => el("a", { onclick: act }, text);
const nodeLink = id => link(`${titleOf(id)}  ${typeOf(id)}`, () => choose("node", id, true));
const kernelLink = id => link(kernels[id].name, () => choose("kernel", id, true));
const storageLink = id => link(storages[id].name, () => choose("storage", id, true));
const list = items => el("ul", {}, ...items.map(i => el("li", {}, i)));
const section = (title, items) => items.length ? [el("h3", {}, title), list(items)] : [];
const table = rows => el("table", {}, ...rows.filter(r => r[1] !== null && r[1] !== "").map(
  ([a, ...b]) => el("tr", {}, el("td", {}, a), el("td", {}, ...b))));

let parsed = null;  // the code is large: it is read when it is asked for first
const code = () => parsed ??= JSON.parse($("code").textContent);
const loopsOf = name => code().loops?.[name] ?? "";
const functionsOf = name => (code().made_of?.[name] ?? []).map(k => code().functions[k] ?? "").join("\n\n");

function folded(title, text, hint) {
  const body = el("div");
  return el("details", { ontoggle: () => { if (!body.firstChild) body.append(el("pre", {}, text() || hint)); } },
            el("summary", {}, title), body);
}

function codeParts(id) {
  const name = kernels[id].name;
  return [folded(`loops of ${name}`, () => loopsOf(name), "left out of this page"),
          folded(`${data.language === "cuda" ? "numba-CUDA" : "LLVM"} of ${name}`, () => functionsOf(name), "no code yet: call or specialize the function first")];
}

function history(id) {  // from what it came and what it became, pass by pass
  const rows = [];
  let before = id;
  for (let k = state.pass; k > 0; k--) {
    const fate = fates[k], made = passes[k].made[before], old = fate.before.get(before);
    for (const other of fate.absorbed.get(before) ?? [])
      rows.unshift([k, rulesText(fate.after.get(other)[1], "the same value"), `stands for ${nodeText(other)}`]);
    if (!fate.fresh.has(before)) continue;
    const rules = old === undefined ? [] : fate.after.get(old)[1];
    const how = rulesText([...rules, made], made === undefined ? "on new inputs" : "made here");
    rows.unshift([k, how, old === undefined ? "" : `was ${nodeText(old)}`]);
    if (old === undefined) break;
    before = old;
  }
  let now = id;
  for (let k = state.pass + 1; k < passes.length && now !== null; k++) {
    const fate = fates[k].after.get(now);
    if (!fate) continue;
    now = fate[0];
    const how = rulesText(fate[1], now === null ? "no longer read" : "on new inputs");
    rows.push([k, how, now === null ? "" : `becomes ${nodeText(now)}`]);
  }
  return rows.map(([k, how, what]) => el("span", {}, link(passes[k].name, () => goTo(k)), `: ${how}${what && ", "}${what}`));
}

const nodeText = id => `${get(id, "op")} ${typeOf(id)}`;
const rulesText = (rules, otherwise) => [...new Set(rules.filter(Boolean))].join(", ") || otherwise;

function nodeDetails(id) {
  const [place, words] = lineOf(id), own = kernelsOf.get(id) ?? [], where = scopeOf(id);
  const homes = storages.flatMap((s, i) => s.node === id ? [i] : []);
  let key = `${get(id, "part")}:`;
  const path = where.flatMap(step => { const mine = key += `/${step}`; return [link(step, () => open(mine, false)), " / "]; });
  return [el("h2", {}, titleOf(id)), table([
    ["op", el("code", {}, `${get(id, "op")}(${get(id, "attributes")})`)],
    ["type", el("code", {}, typeOf(id))],
    ["line", `${place}  `, el("code", {}, words)],
    ["part", PARTS[get(id, "part")]],
    ["scope", ...(path.length ? [...path.slice(0, -1), el("span", { className: "note" }, "  (click closes)")] : [""])],
    ["own FLOP", flopsText(get(id, "flops"))],
    ["value", bytesText(get(id, "bytes")) + (kept.has(id) ? ", kept for the backward half" : "")],
    ["stored in", homes.length ? list(homes.map(i => el("span", {}, storageLink(i), placeText(storages[i])))) : null],
  ]),
  ...section("kernel", own.map(kernelLink)), ...own.map(kernelTable), ...own.flatMap(codeParts),
  ...section("inputs", get(id, "inputs").map(i => get(i, "number") === null ? nodeLink(i) : get(i, "number"))),
  ...section("read by", (readers.get(id) ?? []).map(nodeLink)),
  ...section("passes", history(id))];
}

const placeText = s => s.offset === undefined ? `  ${s.role}` :
  `  ${bytesText(s.bytes)} at ${s.offset.toLocaleString("en")}` + (s.phases ? `, phases ${s.phases.join(" to ")}` : ", prepared");

function kernelTable(id) {
  const k = kernels[id];
  return table([
    ["phase", k.phase < 0 ? "prepare part" : k.phase],
    ...(k.launches ?? []).map(words => ["launch", words]),
    ["threads", k.launches ? "" : k.parallel ? data.threads ?? "all" : 1],
    ["cost", k.flops === undefined ? "" : `${flopsText(k.flops)}, ${bytesText(k.bytes)}`],
    ["least time", k.least === undefined ? "" : `${timeText(k.least)}, bound by ${k.bound}`],
    ["measured", k.seconds === undefined ? "" : `${timeText(k.seconds)} on one thread`],
    ["lines", k.lines ?? ""],
  ]);
}

function kernelDetails(id) {
  const k = kernels[id], part = s => el("span", {}, storageLink(s), placeText(storages[s]));
  return [el("h2", {}, k.name), kernelTable(id), ...codeParts(id), ...section("reads", k.reads.map(part)),
          ...section("writes", k.writes.map(part)), ...section("computes", k.nodes.map(nodeLink))];
}

function storageDetails(id) {
  const s = storages[id];
  const using = word => kernels.flatMap((k, i) => k[word].includes(id) ? [kernelLink(i)] : []);
  return [el("h2", {}, s.name), table([
    ["type", el("code", {}, s.type)], ["role", s.role], ["bytes", s.bytes.toLocaleString("en")],
    ["offset", s.offset === undefined ? "" : s.offset.toLocaleString("en")],
    ["phases", s.phases ? s.phases.join(" to ") : ""],
    ["in place of", s.over === undefined ? null : storageLink(s.over)],
    ["value", s.node === undefined ? null : nodeLink(s.node)],
  ]), ...section("written by", using("writes")), ...section("read by", using("reads"))];
}

function passDetails() {
  const p = passes[state.pass], counts = new Map();
  const rebuilt = p.gone.filter(g => g[1] !== null && !g[2].length).length;
  for (const [, , rules] of p.gone) for (const r of rules) counts.set(r, (counts.get(r) ?? 0) + 1);
  for (const r of Object.values(p.made)) if (r && !counts.has(r)) counts.set(r, 1);
  const replaced = p.gone.filter(g => g[2].length).slice(0, 200);
  return [el("h2", {}, `${state.pass}. ${p.name}`), el("p", {}, p.about), table([
    ["nodes", `${here.size}`], ["new", `${p.new.length}`], ["gone", `${p.gone.length}, ${rebuilt} of them only on new inputs`],
  ]),
  ...section("rules", [...counts].sort((a, b) => b[1] - a[1]).map(([r, n]) => el("span", {}, el("code", {}, r), `  ${n}×`))),
  ...section("replaced", replaced.map(([old, now, rules]) => el("span", {},
    `${titleOf(old)} → `, now === null ? "nothing" : nodeLink(now), `  ${rules.join(", ")}`)))];
}

function showDetails(extra) {
  const side = $("side"), c = state.chosen;
  const shown = extra ?? (c ? { node: nodeDetails, kernel: kernelDetails, storage: storageDetails }[c.kind](c.id) : passDetails());
  side.replaceChildren(...shown);
  side.scrollTop = 0;
}
