// Asks Tint, the WGSL compiler of Dawn and Chromium, about WGSL texts: one process, many texts.
//
// node tint.mjs FOLDER: FOLDER holds node_modules/webgpu. Every line of its own begins with "> ". It greets with a line of JSON,
// {"version": …}. Then it reads lines of JSON, {"code": …, "limits": {…}}, and answers each with one, {"messages": [{"type", "line", "text"}, …]}:
// what the compiler says or, if it has nothing to say, why no pipeline can be made on a device of these limits.
// Dawn's null backend has no driver and all features that Dawn has, f16 too: nothing is executed here.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const folder = process.argv[2];
const installed = createRequire(`${folder}/any.js`).resolve('webgpu');
const { create, globals } = await import(pathToFileURL(installed));
Object.assign(globalThis, globals);
// Dawn writes its warnings to the same place: lines of ours begin with a mark.
const say = (answer) => process.stdout.write(`> ${JSON.stringify(answer)}\n`);

// kept to the end: where it is collected as garbage, its devices are gone
const gpu = create(['backend=null']);
const adapter = await gpu.requestAdapter();
const FEATURES = ['shader-f16', 'subgroups'].filter((f) => adapter.features.has(f));
const devices = new Map();

/** A device of these limits; all else is WebGPU's default. */
async function device(limits) {
  const key = JSON.stringify(limits);
  if (!devices.has(key)) devices.set(key, await adapter.requestDevice({ requiredFeatures: FEATURES, requiredLimits: limits }));
  return devices.get(key);
}

async function answer({ code, limits }) {
  const on = await device(limits);
  on.pushErrorScope('validation');
  const module = on.createShaderModule({ code });
  const { messages: found } = await module.getCompilationInfo();
  const messages = found.map((m) => ({ type: m.type, line: m.lineNum, text: m.message }));
  if (messages.length === 0) on.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const error = await on.popErrorScope();
  if (messages.length === 0 && error) messages.push({ type: 'error', line: 0, text: error.message });
  return { messages };
}

say({ version: JSON.parse(readFileSync(`${folder}/node_modules/webgpu/package.json`)).version, features: FEATURES });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    say(await answer(JSON.parse(line)));
  } catch (e) {
    say({ messages: [{ type: 'error', line: 0, text: String(e) }] });
  }
}
process.exit(0);
