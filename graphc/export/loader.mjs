// /*NAME*/.mjs, made by graphc.
//
//   import { load } from "./NAME.mjs";
//   const library = await load();                       // NAME.wasm beside this file, or: load(bytes)
//   const { loss } = library.step({ x, t }, { batch: 32 });  // inputs by name; values of the dims
//   library.get("w"), library.set("w", values), library.save(), library.restore(saved)
//
// Inputs and results are typed arrays in C order; results are copies. 16-bit floats are their bits,
// bool is a byte, 64-bit integers are BigInts. Each call of `load` makes an independent instance.

const FUNCTIONS = {
/*FUNCTIONS*/
};
const PARAMETERS = {
/*PARAMETERS*/
};
const PAGE = 65536;

export async function load(source) {
  const { instance } = await WebAssembly.instantiate(source ?? (await image()), {});
  return new Library(instance.exports);
}

async function image() {
  const url = new URL("/*NAME*/.wasm", import.meta.url);
  if (url.protocol !== "file:") return (await fetch(url)).arrayBuffer();
  return (await import("node:fs/promises")).readFile(url);
}

class Library {
  constructor(code) {
    this.code = code;
    this.functions = FUNCTIONS;
    this.parameters = PARAMETERS;
    this.free = code.__heap_base.value;
    const bytes = code./*NAME*/_workspace_bytes();
    this.workspace = this.reserve(bytes);
    this.stateBytes = code./*NAME*/_state_bytes();
    let most = this.stateBytes;
    for (const p of Object.values(PARAMETERS)) most = Math.max(most, p.length * 8 + 4096);
    for (const f of Object.values(FUNCTIONS)) {
      let sum = 0;
      for (const a of [...Object.values(f.inputs), ...Object.values(f.outputs)])
        sum += Math.ceil(a.bytes / 64) * 64;
      most = Math.max(most, sum);
    }
    this.scratch = this.reserve(most); // for the arguments of one call
    this.check(code./*NAME*/_init(this.workspace, bytes), "init");
    for (const name of Object.keys(FUNCTIONS))
      this[name] = (inputs = {}, dims = {}) => this.call(name, inputs, dims);
  }

  reserve(bytes) {
    const at = Math.ceil(this.free / 64) * 64;
    this.free = at + bytes;
    const missing = this.free - this.code.memory.buffer.byteLength;
    if (missing > 0) this.code.memory.grow(Math.ceil(missing / PAGE));
    return at;
  }

  call(name, inputs, dims) {
    const f = FUNCTIONS[name];
    for (const [dim, [low, high]] of Object.entries(f.dims))
      if (!(Number.isInteger(dims[dim]) && dims[dim] >= low && dims[dim] <= high))
        throw new RangeError(`${name}: ${dim} must be from ${low} to ${high}, got ${dims[dim]}`);
    for (const given of Object.keys(inputs))
      if (!(given in f.inputs)) throw new TypeError(`${name} has no input ${given}`);
    let at = this.scratch;
    const pointers = [];
    const place = (a) => {
      const start = at, length = a.shape(dims).reduce((x, y) => x * y, 1);
      pointers.push(start);
      at += Math.ceil(a.bytes / 64) * 64;
      return new a.array(this.code.memory.buffer, start, length);
    };
    for (const [key, a] of Object.entries(f.inputs)) {
      const values = inputs[key], memory = place(a);
      if (values === undefined || values.length !== memory.length)
        throw new TypeError(
          `${name}: ${key} needs ${memory.length} elements (${a.shape(dims)}), got ${values?.length}`);
      memory.set(values);
    }
    const results = Object.entries(f.outputs).map(([key, a]) => [key, place(a)]);
    const sizes = Object.keys(f.dims).map((dim) => BigInt(dims[dim]));
    this.check(this.code[f.symbol](this.workspace, ...sizes, ...pointers), name);
    return Object.fromEntries(results.map(([key, memory]) => [key, memory.slice()]));
  }

  get(name) {
    return this.parameter("get", name, undefined);
  }

  set(name, values) {
    this.parameter("set", name, values);
  }

  parameter(word, name, values) {
    const p = PARAMETERS[name];
    if (p === undefined) throw new TypeError(`there is no parameter ${name}`);
    const text = new TextEncoder().encode(name + "\0");
    const memory = new p.array(this.code.memory.buffer, this.scratch, p.length);
    const end = this.scratch + memory.byteLength;
    new Uint8Array(this.code.memory.buffer, end, text.length).set(text);
    if (values !== undefined) {
      if (values.length !== p.length) throw new TypeError(`${name} has ${p.length} elements`);
      memory.set(values);
    }
    const run = this.code[`/*NAME*/_${word}_parameter`];
    this.check(run(this.workspace, end, this.scratch, memory.byteLength), name);
    return memory.slice();
  }

  save() {
    this.check(this.code./*NAME*/_save(this.workspace, this.scratch, this.stateBytes), "save");
    return new Uint8Array(this.code.memory.buffer, this.scratch, this.stateBytes).slice();
  }

  restore(saved) {
    new Uint8Array(this.code.memory.buffer, this.scratch, this.stateBytes).set(saved);
    this.check(this.code./*NAME*/_load(this.workspace, this.scratch, saved.length), "restore");
  }

  selftest() {
    if (/*SELFTEST*/) this.check(this.code./*NAME*/_selftest(), "selftest");
  }

  check(status, what) {
    if (status === 0) return;
    const memory = new Uint8Array(this.code.memory.buffer);
    const start = this.code./*NAME*/_status_text(status);
    const text = memory.subarray(start, memory.indexOf(0, start));
    throw new Error(`${what}: ${new TextDecoder().decode(text.slice())}`);
  }
}
