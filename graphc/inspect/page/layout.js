// Boxes in rows: what a value needs stands above it (in the backward half, below it).

const GAP = 14, ROW = 74, WIDEST = 12;

function rankPart(boxes, part) {  // longest paths; where groups depend on each other, the first goes first
  const mine = boxes.filter(b => b.part === part);
  const waits = new Map(mine.map(b => [b, b.ins.filter(a => a.part === part).length]));
  let ready = mine.filter(b => !waits.get(b)), next = 0, most = 0;
  for (const b of mine) b.rank = 0;
  for (let left = mine.length; left; left--) {
    if (!ready.length) {
      while (!waits.has(mine[next])) next++;
      ready.push(mine[next]);
    }
    const b = ready.pop();
    waits.delete(b);
    most = Math.max(most, b.rank);
    for (const c of b.outs) if (c.part === part && waits.has(c)) {
      c.rank = Math.max(c.rank, b.rank + 1);
      waits.set(c, waits.get(c) - 1);
      if (!waits.get(c)) ready.push(c);
    }
  }
  for (const b of mine) if (!b.ins.some(a => a.part === part)) {  // what needs nothing stands near its readers
    const below = b.outs.filter(c => c.part === part).map(c => c.rank);
    b.rank = below.length ? Math.max(0, Math.min(...below) - 1) : b.outs.length ? most : b.rank;
  }
  return mine.length ? most + 1 : 0;
}

function placeRow(row, wanted) {
  row.sort((a, b) => wanted.get(a) - wanted.get(b) || a.ids[0] - b.ids[0]);
  let right = -Infinity, shift = 0;
  for (const b of row) {
    b.x = Math.max(wanted.get(b) - b.w / 2, right + GAP);
    right = b.x + b.w;
    shift += wanted.get(b) - b.w / 2 - b.x;
  }
  for (const b of row) b.x += shift / row.length;
}

const centre = b => b.x + b.w / 2;

function layOut(boxes) {  // a column for each part; gradients go up beside what they are gradients of
  const bands = [];
  let left = 0;
  for (let part = 0; part < 3; part++) {
    const mine = boxes.filter(b => b.part === part), count = rankPart(boxes, part);
    if (!count) continue;
    const rows = inRows(mine, count);
    for (const row of rows) placeRow(row, new Map(row.map((b, i) => [b, (i - row.length / 2) * 120])));
    for (let sweep = 0; sweep < 6; sweep++) smooth(rows, part, sweep);
    const x0 = Math.min(...mine.map(b => b.x)), x1 = Math.max(...mine.map(b => b.x + b.w));
    for (const b of mine) {
      b.x += left + 30 - x0;
      b.y = ROW * (part === 1 ? rows.length - 1 - b.rank : b.rank);
    }
    bands.push({ part, x: left, w: x1 - x0 + 60, label: PARTS[part], fill: GROUND[part], line: LINE[part] });
    left += x1 - x0 + 80;
  }
  return bands;
}

function inRows(boxes, count) {  // rows that are too wide to look at go on below
  const ranks = Array.from({ length: count }, () => []), rows = [];
  for (const b of boxes) ranks[b.rank].push(b);
  for (const rank of ranks)
    for (let i = 0; i < rank.length; i += WIDEST) rows.push(rank.slice(i, i + WIDEST));
  rows.forEach((row, i) => { for (const b of row) b.rank = i; });
  return rows;
}

function smooth(rows, part, sweep) {  // move every box towards those above it, then those below it
  const down = sweep % 2 === 0, own = boxes => boxes.filter(c => c.part === part);
  for (const row of down ? rows : [...rows].reverse()) {
    const wanted = new Map();
    for (const b of row) {
      const near = own(sweep > 3 ? b.ins.concat(b.outs) : down ? b.ins : b.outs);
      wanted.set(b, near.length ? near.reduce((s, c) => s + centre(c), 0) / near.length : centre(b));
    }
    placeRow(row, wanted);
  }
}

function graphScene() {
  const boxes = makeBoxes(), edges = makeEdges(boxes);
  return { items: boxes, edges, bands: layOut(boxes), lines: [] };
}
