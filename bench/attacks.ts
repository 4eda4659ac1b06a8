// What an attack out of a plugin's own process does to others: see docs/isolation.md.
// node --conditions=routeiq-source bench/attacks.ts [seconds per attack, default 3] [attack …]
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(import.meta.dirname, '..');
const CONNECTIONS = 50;
/** Between two requests of one connection: what is measured is others' harm, not the machine's limit. */
const PAUSE_MS = 10;
/** `%DIR`, `%PORT`: the gateway's folder and port. */
const ATTACKS = [
  'throws',
  'throws-late',
  'loop',
  'microtask-loop',
  'regex',
  'native',
  'heap',
  'buffers',
  'leak',
  'exit',
  'abort',
  'chdir',
  'globals',
  'priority',
  'object-prototype',
  'environment',
  'fork-bomb',
  'other-environment',
  'dot-env?path=%DIR/.env',
  'write?path=%DIR/written',
  'dial?host=127.0.0.1&port=%PORT',
  'dial?host=169.254.169.254&port=80',
  'rubbish',
  'no-json',
  'huge-message',
  'flood',
  'calls',
  'output',
  'large',
  'large-at-once',
];
const INNOCENT = `export default { metadata: { name: 'innocent', capabilities: ['ROUTES'] },
  startup(app) { app.get('/innocent/:n', (req, res) => { res.json({ n: req.params.n }); }); } };`;

interface Run {
  readonly lost: number;
  readonly answered: number;
  readonly p99Ms: number;
}

const [seconds = '3', ...chosen] = process.argv.slice(2);
if (!(Number(seconds) > 0)) {
  console.error(`saw ${JSON.stringify(seconds)} as the seconds per attack, expected a number above 0`);
  process.exit(64);
}
const dir = mkdtempSync(join(tmpdir(), 'routeiq-attacks-'));
try {
  const gateway = await startGateway();
  await load(gateway.url, Number(seconds) * 1000);
  console.log(
    '| attack | answers | lost | p99 | p99 just before | ratio | plugin back after |\n|---|---|---|---|---|---|---|',
  );
  for (const attack of chosen.length > 0 ? chosen : ATTACKS) await report(gateway.url, attack);
  gateway.stop();
} finally {
  rmSync(dir, { recursive: true, force: true });
}

/** Compared with the same load just before it: the machine is another one from minute to minute. */
async function report(url: string, attack: string): Promise<void> {
  const quiet = await load(url, Number(seconds) * 1000);
  const under = load(url, Number(seconds) * 1000);
  const backMs = attackAndReturn(url, attack.replace('%DIR', dir).replace('%PORT', new URL(url).port));
  const { answered, lost, p99Ms } = await under;
  const ratio = (p99Ms / quiet.p99Ms).toFixed(2);
  console.log(
    `| ${attack.replace(/%\w+/, '…')} | ${answered} | ${lost} | ${p99Ms.toFixed(1)} ms | ${quiet.p99Ms.toFixed(1)} ms | ${ratio} | ${(await backMs).toFixed(0)} ms |`,
  );
  await fetch(`${url}/admin/plugins/attacker/reload`, {
    method: 'POST',
    headers: { authorization: 'Bearer bench' },
  });
}

/** Milliseconds from the end of the attacked request to the plugin's next answer. */
async function attackAndReturn(url: string, attack: string): Promise<number> {
  await fetch(`${url}/attack/${attack}`)
    .then((response) => response.body?.cancel())
    .catch(() => undefined);
  const ended = performance.now();
  while ((await fetch(`${url}/attack/alive`)).status !== 200) await pause();
  return performance.now() - ended;
}

async function load(url: string, durationMs: number): Promise<Run> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const until = performance.now() + durationMs;
  const times: number[] = [];
  let lost = 0;
  const connection = async (n: number): Promise<void> => {
    while (performance.now() < until) {
      const began = performance.now();
      if ((await ask(`${url}/innocent/${n}`, agent)) === `{"n":"${n}"}`)
        times.push(performance.now() - began);
      else lost++;
      await pause();
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, n) => connection(n)));
  agent.destroy();
  times.sort((a, b) => a - b);
  return { lost, answered: times.length, p99Ms: times[Math.floor(times.length * 0.99)] ?? Number.NaN };
}

function ask(url: string, agent: Agent): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  get(url, { agent }, (response) => {
    let text = '';
    response.on('data', (chunk) => {
      text += chunk;
    });
    response.on('end', () => resolve(text));
    response.on('error', () => resolve(null));
  }).on('error', () => resolve(null));
  return promise;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

async function startGateway(): Promise<{ readonly url: string; stop(): void }> {
  mkdirSync(join(dir, 'plugins/innocent'), { recursive: true });
  writeFileSync(join(dir, 'plugins/innocent/index.mjs'), INNOCENT);
  cpSync(join(ROOT, 'test/isolation/fixtures/attacks'), join(dir, 'plugins/attacker'), { recursive: true });
  const child = spawn(process.execPath, ['--conditions=routeiq-source', join(ROOT, 'src/index.ts')], {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      PORT: '0',
      LLMROUTER_ADMIN_KEY: 'bench',
      LLMROUTER_LOG_FORMAT: 'json',
      LLMROUTER_PLUGINS_ISOLATION: 'process,innocent=inline',
      LLMROUTER_PLUGINS_CALL_TIMEOUT_MS: '5000',
      LLMROUTER_PLUGINS_STALL_TIMEOUT_MS: '1000',
      LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '1000000',
      LLMROUTER_PLUGINS_MEMORY_LIMIT: '256',
    },
  });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  child.once('exit', (code) => reject(new Error(`the gateway ended with ${code}`)));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { event, port } = JSON.parse(line) as { event?: string; port?: number };
    if (event === 'ready') resolve(`http://127.0.0.1:${port}`);
  });
  return { url: await promise, stop: () => void child.kill() };
}
