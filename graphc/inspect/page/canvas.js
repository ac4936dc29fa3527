// One canvas that draws the part of a scene that is in view, moves and enlarges it.

const canvas = el("canvas"), tip = el("div", { id: "tip" }), pen = canvas.getContext("2d");
const scenes = { graph: null, memory: null, schedule: null }, views = {};
let drawn = 0, asked = false;

const scene = () => scenes[state.tab];
const view = () => views[state.tab];

function fit() {
  const { items } = scene(), r = canvas.getBoundingClientRect();
  const box = items.reduce((b, i) => [Math.min(b[0], i.x), Math.min(b[1], i.y), Math.max(b[2], i.x + i.w),
                                      Math.max(b[3], i.y + i.h)], [Infinity, Infinity, -Infinity, -Infinity]);
  if (!items.length) box.splice(0, 4, 0, 0, 1, 1);
  const [x0, y0, x1, y1] = [box[0] - 90, box[1] - 40, box[2] + 20, box[3] + 40];
  const whole = Math.min(r.width / (x1 - x0), r.height / (y1 - y0), 1.2), s = Math.max(whole, state.tab === "schedule" ? 0.8 : 0.4);
  const top = s > whole && state.tab === "graph";  // too large to read as a whole: begin where it begins
  const x = s * (x1 - x0) > r.width ? -s * x0 : (r.width - s * (x0 + x1)) / 2;
  views[state.tab] = { s, x, y: top ? -s * y0 : Math.max(10, (r.height - s * (y1 - y0)) / 2) - s * y0 };
}

function draw() {
  asked = false;
  const r = canvas.getBoundingClientRect(), dense = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(r.width * dense)) canvas.width = Math.round(r.width * dense);
  if (canvas.height !== Math.round(r.height * dense)) canvas.height = Math.round(r.height * dense);
  const { s, x, y } = view(), { items, edges, bands, lines } = scene();
  const [left, top, right, low] = [-x / s, -y / s, (r.width - x) / s, (r.height - y) / s];
  const within = (x0, y0, x1, y1) => x1 >= left && x0 <= right && y1 >= top && y0 <= low;
  pen.setTransform(dense, 0, 0, dense, 0, 0);
  pen.clearRect(0, 0, r.width, r.height);
  pen.setTransform(s * dense, 0, 0, s * dense, x * dense, y * dense);
  for (const b of bands) {
    pen.fillStyle = b.fill;
    pen.fillRect(b.x, top, b.w, low - top);
    write(b.label, b.x + 6 / s, top + 15 / s, b.line, `bold ${12 / s}px Helvetica, Arial, sans-serif`);
  }
  for (const [a, b] of edges) {
    const [x0, y0, x1, y1] = [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x + a.w, b.x + b.w), Math.max(a.y + a.h, b.y + b.h)];
    if (within(x0, y0, x1, y1)) edge(a, b, s);
  }
  drawn = 0;
  for (const i of items) if (within(i.x, i.y, i.x + i.w, i.y + i.h)) box(i, s);
  for (const l of lines) mark(l, s);
}

const isChosen = item => item.ids ? state.chosen && chosenNodes.has(item)
  : item.pick && state.chosen && item.pick.kind === state.chosen.kind && item.pick.id === state.chosen.id;
let chosenNodes = new Set();

function edge(a, b, s) {  // up or down inside a part, sideways between two
  const mine = state.chosen && (chosenNodes.has(a) || chosenNodes.has(b)), across = a.part !== b.part;
  const way = across ? Math.sign(b.x - a.x) : Math.sign(b.y - a.y) || 1;
  const start = across ? [way > 0 ? a.x + a.w : a.x, a.y + a.h / 2] : [centre(a), way > 0 ? a.y + a.h : a.y];
  const end = across ? [way > 0 ? b.x : b.x + b.w, b.y + b.h / 2] : [centre(b), way > 0 ? b.y : b.y + b.h];
  const axis = across ? 0 : 1, bend = way * Math.max(18, Math.abs(end[axis] - start[axis]) / 2);
  pen.strokeStyle = mine ? LINE[b.part] : across ? "rgba(102,113,124,0.16)" : "rgba(102,113,124,0.5)";
  pen.lineWidth = mine ? 2 : Math.min(1.2, 0.6 / s);
  pen.beginPath();
  pen.moveTo(...start);
  if (s < 0.15) pen.lineTo(...end);
  else if (across) pen.bezierCurveTo(start[0] + bend, start[1], end[0] - bend, end[1], ...end);
  else pen.bezierCurveTo(start[0], start[1] + bend, end[0], end[1] - bend, ...end);
  pen.stroke();
}

function box(i, s) {
  drawn++;
  const found = i.ids && state.found.size && i.ids.some(id => state.found.has(id));
  pen.fillStyle = found ? FOUND : i.fill;
  pen.strokeStyle = isChosen(i) ? "#000" : i.line;
  pen.lineWidth = isChosen(i) ? 3 : i.wide;
  pen.fillRect(i.x, i.y, i.w, i.h);
  if (pen.lineWidth && i.wide) pen.strokeRect(i.x, i.y, i.w, i.h);
  if (s < 0.3) return;
  i.text.forEach((t, row) => {
    const room = i.clip ? Math.floor((i.w - 6) / 6.2) : t.length;
    if (!i.clip || room > 2) write(short(t, room), i.x + 6, i.y + 13 + 13 * row, row ? GREY : "#1c2733",
                        row ? "11px Helvetica, Arial, sans-serif" : "bold 11px Helvetica, Arial, sans-serif");
  });
}

function mark(l, s) {
  pen.strokeStyle = GREY;
  pen.lineWidth = 1 / s;
  pen.setLineDash([4 / s, 4 / s]);
  pen.beginPath();
  pen.moveTo(l.x, l.y);
  pen.lineTo(l.end ?? l.x, l.y + (l.down ?? 0));
  if (l.end !== undefined || l.down) pen.stroke();
  pen.setLineDash([]);
  write(String(l.label), l.x + 2, l.y - 3, GREY, "11px Helvetica, Arial, sans-serif");
}

function write(text, x, y, colour, font) {
  pen.font = font;
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
}

function redraw() {
  if (!asked) { asked = true; requestAnimationFrame(draw); }
}

function itemAt(event) {
  const r = canvas.getBoundingClientRect(), { s, x, y } = view();
  const px = (event.clientX - r.left - x) / s, py = (event.clientY - r.top - y) / s;
  return scene().items.findLast(i => px >= i.x && px <= i.x + i.w && py >= i.y && py <= i.y + Math.max(i.h, 2 / s));
}

function centreOn(item) {
  const r = canvas.getBoundingClientRect(), v = view();
  v.s = Math.max(v.s, 0.6);
  [v.x, v.y] = [r.width / 2 - v.s * centre(item), r.height / 2 - v.s * (item.y + item.h / 2)];
}

function listen() {
  let grip = null, moved = false;
  canvas.onpointerdown = e => { grip = [e.clientX, e.clientY]; moved = false; canvas.setPointerCapture(e.pointerId); };
  canvas.onpointerup = e => {
    grip = null;
    const item = moved ? null : itemAt(e);
    if (item && item.pick) item.group ? chooseGroup(item) : choose(item.pick.kind, item.pick.id, false);
    else if (!moved) { state.chosen = null; chosenNodes = new Set(); showDetails(); redraw(); }
  };
  canvas.onpointermove = e => {
    if (grip) {
      const v = view(), [dx, dy] = [e.clientX - grip[0], e.clientY - grip[1]];
      if (Math.abs(dx) + Math.abs(dy) > 2) moved = true;
      if (moved) { v.x += dx; v.y += dy; grip = [e.clientX, e.clientY]; redraw(); }
      return;
    }
    const item = itemAt(e), r = canvas.getBoundingClientRect();
    tip.style.display = item ? "block" : "none";
    tip.textContent = item ? item.tip : "";
    tip.style.left = `${Math.min(e.clientX - r.left + 12, r.width - 240)}px`;
    tip.style.top = `${e.clientY - r.top + 14}px`;
  };
  canvas.onpointerleave = () => { tip.style.display = "none"; };
  canvas.ondblclick = e => {
    const item = itemAt(e);
    if (item && item.group) open(item.key, true);
    else if (item && item.ids && scopeOf(item.ids[0]).length) open(`${item.part}:/${scopeOf(item.ids[0]).join("/")}`, false);
  };
  canvas.onwheel = e => {
    e.preventDefault();
    const r = canvas.getBoundingClientRect(), v = view(), f = Math.exp(-e.deltaY * 0.0015);
    const s = Math.min(4, Math.max(0.01, v.s * f)), [px, py] = [e.clientX - r.left, e.clientY - r.top];
    [v.x, v.y, v.s] = [px - (px - v.x) * s / v.s, py - (py - v.y) * s / v.s, s];
    redraw();
  };
  window.onresize = redraw;
}
