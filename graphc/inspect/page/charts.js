// Memory over the phases, and what every thread runs between barriers.

const partOf = s => s.node === undefined ? 0 : get(s.node, "part");

function memoryScene() {
  const { arena, bound, timeline } = data.memory, items = [], lines = [];
  const early = kernels.filter(k => k.phase < 0).length;
  const width = Math.max(8, Math.min(90, 1400 / (timeline.length + early))), tall = 420;
  const scale = tall / Math.max(arena, 1), at = phase => (phase + early) * width;
  storages.forEach((s, i) => {
    if (!s.phases) return;
    const [first, last] = s.phases, from = s.offset.toLocaleString("en"), room = s.bytes * scale;
    items.push({ x: at(first), y: s.offset * scale, w: (last - first + 1) * width - 1,
      h: Math.max(room, 0.7), fill: FILL[partOf(s)], line: LINE[partOf(s)], wide: 0.7,
      text: room > 16 ? [s.name] : [], clip: true, pick: { kind: "storage", id: i },
      tip: `${s.name} ${s.type}\n${bytesText(s.bytes)} at ${from}\nphases ${first} to ${last}` });
  });
  timeline.forEach((live, phase) => {
    const names = kernels.filter(k => k.phase === phase).map(k => k.name).join("\n");
    items.push({ x: at(phase), y: tall + 40 + (arena - live) * scale * 0.35, w: width - 1,
      h: live * scale * 0.35, fill: "#9db7d5", line: GREY, wide: 0, text: [], pick: null,
      tip: `phase ${phase}: ${bytesText(live)} alive\n${names}` });
    if (width > 20 || phase % 10 === 0)
      lines.push({ x: at(phase), y: tall + 56 + arena * scale * 0.35, label: phase });
  });
  const end = at(timeline.length);
  lines.push({ x: 0, y: tall, end, label: `arena ${bytesText(arena)}, offsets from the top` });
  lines.push({ x: 0, y: tall + 40 + (arena - bound) * scale * 0.35, end,
               label: `at most ${bytesText(bound)} alive at once` });
  return { items, edges: [], bands: [], lines };
}

function scheduleScene() {
  const threads = data.threads ?? 1, items = [], lines = [], high = 34;
  const cost = k => k.seconds ?? k.least ?? 0;
  const least = Math.min(...kernels.map(cost).filter(Boolean), 1);
  const width = k => Math.max(90, Math.min(400, 90 + 30 * Math.log2(1 + cost(k) / least)));
  let phase = null, cursor = Array(threads).fill(0);
  kernels.forEach((k, i) => {
    if (k.phase !== phase) {  // everyone waits for the last
      const x = Math.max(...cursor) + (phase === null ? 0 : 12);
      lines.push({ x: x - 6, y: -24, down: threads * (high + 4) + 30, label: k.phase < 0 ? "prepare" : k.phase });
      [phase, cursor] = [k.phase, Array(threads).fill(x)];
    }
    for (let t = 0; t < (k.parallel ? threads : 1); t++) {
      const w = width(k), part = k.part ?? 0;
      items.push({ x: cursor[t], y: t * (high + 4), w: w - 2, h: high, fill: FILL[part], line: LINE[part],
        wide: 1, text: [k.name, k.seconds ? timeText(k.seconds) : ""], clip: true,
        pick: { kind: "kernel", id: i }, tip: kernelTip(k) });
      cursor[t] += w;
    }
  });
  for (let t = 0; t < threads; t++) lines.push({ x: -80, y: t * (high + 4) + 22, label: `thread ${t}` });
  return { items, edges: [], bands: [], lines };
}

function kernelTip(k) {
  const rows = [k.name, k.parallel ? "shared by all threads" : "on one thread"];
  if (k.flops !== undefined) rows.push(`${flopsText(k.flops)}, ${bytesText(k.bytes)}, bound by ${k.bound}`);
  return rows.join("\n");
}
