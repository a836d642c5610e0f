// Runs plans on Dawn for the test harness: requests on standard input, replies on standard output, one after the other.
// A message is [bytes of JSON: u32][bytes of data: u32][JSON][data], little-endian. Arguments: the file of the package `webgpu`, then
// options for Dawn.

import { readSync, writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [packageFile, ...options] = process.argv.slice(2);
const { create, globals } = await import(pathToFileURL(packageFile));
Object.assign(globalThis, globals);

// Optional features that kernels use.
const FEATURES = ['shader-f16', 'subgroups'];
const LIMITS = [
  'maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup', 'maxComputeWorkgroupSizeX', 'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ', 'maxStorageBuffersPerShaderStage', 'maxComputeWorkgroupsPerDimension', 'maxStorageBufferBindingSize',
  'maxBufferSize', 'minStorageBufferOffsetAlignment', 'minUniformBufferOffsetAlignment',
];
// Bytes of buffers that finished runs leave for the next.
const KEPT = 256 << 20;

function read(bytes) {
  const data = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes;) {
    const got = readSync(0, data, at, bytes - at, null);
    if (got === 0) process.exit(0); // the harness is gone or done
    at += got;
  }
  return data;
}

function write(data) {
  for (let at = 0; at < data.length;) at += writeSync(1, data, at, data.length - at);
}

function receive() {
  const sizes = read(8);
  const request = JSON.parse(read(sizes.readUInt32LE(0)).toString());
  return { ...request, data: read(sizes.readUInt32LE(4)) };
}

function send(reply, data = Buffer.alloc(0)) {
  const text = Buffer.from(JSON.stringify(reply));
  const sizes = Buffer.alloc(8);
  sizes.writeUInt32LE(text.length, 0);
  sizes.writeUInt32LE(data.length, 4);
  write(Buffer.concat([sizes, text]));
  write(data);
}

// An error with a kind that the harness knows.
class Fault extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const gpu = create(options);
let device;
let lost = null;

async function open() {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Fault('no_adapter', 'Dawn finds no adapter that it accepts');
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  device = await adapter.requestDevice({ requiredFeatures: FEATURES.filter((f) => adapter.features.has(f)), requiredLimits });
  device.lost.then((info) => { lost = `${info.reason}: ${info.message}`; });
  const limits = Object.fromEntries(LIMITS.map((name) => [name, device.limits[name]]));
  const { vendor, architecture, device: model, description, subgroupMinSize, subgroupMaxSize, isFallbackAdapter } = adapter.info;
  const info = { vendor, architecture, model, description, subgroupMinSize, subgroupMaxSize, isFallbackAdapter };
  return { info, limits, features: FEATURES.filter((f) => device.features.has(f)) };
}

// What `work` gives, unless Dawn reports an error meanwhile.
async function scoped(work) {
  const kinds = ['internal', 'out-of-memory', 'validation'];
  kinds.forEach((kind) => device.pushErrorScope(kind));
  const outcome = await work().then((value) => ({ value }), (error) => ({ error }));
  let fault = null;
  for (const kind of kinds.slice().reverse()) {
    const error = await device.popErrorScope();
    if (error) fault ??= new Fault(kind, error.message);
  }
  if (lost !== null) throw new Fault('lost', lost);
  if (outcome.error instanceof Fault) throw outcome.error;
  if (fault ?? outcome.error) throw fault ?? outcome.error;
  return outcome.value;
}

const pipelines = new Map();

// Has Tint read a text. Its warnings count as errors: it warns of control flow that is not uniform.
async function parse({ name, text }) {
  const module = device.createShaderModule({ label: name, code: text });
  const { messages } = await module.getCompilationInfo();
  const serious = messages.filter((m) => m.type !== 'info');
  if (serious.length > 0) {
    throw new Fault('build', serious.map((m) => `${m.type} in line ${m.lineNum}: ${m.message}`).join('; '));
  }
  return module;
}

// Compiles a text.
async function build({ id, name, text, entries }) {
  const module = await parse({ name, text });
  const layout = device.createBindGroupLayout({
    label: name,
    entries: entries.map(({ binding, kind, least }) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: kind, hasDynamicOffset: kind === 'uniform', minBindingSize: least },
    })),
  });
  const descriptor = {
    label: name,
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: 'main' },
  };
  const pipeline = await device.createComputePipelineAsync(descriptor).catch((e) => { throw new Fault('build', e.message); });
  pipelines.set(id, { layout, pipeline });
  return {};
}

const pool = new Map();
let kept = 0;

function buffer(size, usage) {
  const key = `${size} ${usage}`;
  const found = pool.get(key)?.pop();
  if (found) kept -= size;
  return found ?? device.createBuffer({ size, usage });
}

function release(freed) {
  for (const one of freed) {
    if (kept + one.size > KEPT) {
      one.destroy();
      continue;
    }
    const key = `${one.size} ${one.usage}`;
    pool.set(key, [...(pool.get(key) ?? []), one]);
    kept += one.size;
  }
}

// Fills buffers, dispatches, and gives back every buffer. `data` holds the buffers' contents, then the uniform's.
async function run({ sizes, uniform, jobs, data }) {
  const all = [...sizes, uniform];
  const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const params = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
  let at = 0;
  const buffers = all.map((size, index) => {
    const one = buffer(Math.max(size, 16), index < sizes.length ? storage : params);
    if (size > 0) device.queue.writeBuffer(one, 0, data, at, size);
    at += size;
    return one;
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const { pipeline, group, offset, grid } of jobs) {
    const { layout, pipeline: compute } = pipelines.get(pipeline);
    const entries = group.map(([binding, index, offset, size]) => ({ binding, resource: { buffer: buffers[index], offset, size } }));
    pass.setPipeline(compute);
    pass.setBindGroup(0, device.createBindGroup({ layout, entries }), offset === null ? [] : [offset]);
    pass.dispatchWorkgroups(...grid);
  }
  pass.end();
  const start = performance.now();
  device.queue.submit([encoder.finish()]);
  await device.queue.onSubmittedWorkDone();
  const seconds = (performance.now() - start) / 1e3;
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const staging = buffer(Math.max(total, 16), GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  const copies = device.createCommandEncoder();
  let to = 0;
  sizes.forEach((size, index) => {
    copies.copyBufferToBuffer(buffers[index], 0, staging, to, size);
    to += size;
  });
  device.queue.submit([copies.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const back = Buffer.from(Buffer.from(staging.getMappedRange(0, total)));
  staging.unmap();
  release([...buffers, staging]);
  return { seconds, back };
}

const answers = {
  open,
  build: (request) => scoped(() => build(request)),
  run: (request) => scoped(() => run(request)),
};
for (;;) {
  const request = receive();
  try {
    const { back, ...reply } = await answers[request.ask](request);
    send(reply, back);
  } catch (error) {
    send({ error: { kind: error.kind ?? 'internal', message: String(error.message ?? error) } });
  }
}
