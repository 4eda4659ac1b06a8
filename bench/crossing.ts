// usage: node bench/crossing.ts [seconds per cell, default 2] [rounds, default 3] [phase …]
// What a plugin in a process of its own adds to a request, against the same plugin inline: see docs/isolation.md.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quantile } from './cells.ts';
import { Processes } from './load/processes.ts';
import { type LoopTarget, Wrk } from './load/wrk.ts';
import { CHAT_PATH } from './workloads.ts';

const ROOT = join(import.meta.dirname, '..');
const FIRST_PORT = 9460;
const CONNECTIONS = [1, 64] as const;
const TIERS = ['inline', 'process'] as const;
type Tier = (typeof TIERS)[number];
/** The plugin's process runs beside the gateway, as it would in service. */
const ALL_CORES = '0-1';

const CHAT = JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: 'x'.repeat(300) }] });

interface Phase {
  readonly capability: string;
  /** What the plugin does in `startup`. */
  readonly startup: string;
  /** A path of the plugin's own, asked without a body. Default: a chat request. */
  readonly path?: string;
  /** Default: none to a path of the plugin's own. */
  readonly body?: string;
  readonly headers?: LoopTarget['headers'];
  readonly strategy?: string;
}

const PHASES: Readonly<Record<string, Phase>> = {
  route: {
    capability: 'ROUTES',
    path: '/crossing',
    startup: `app.all('/crossing', (_req, res) => { res.json({ message: 'Hello' }); });`,
  },
  posted: {
    capability: 'ROUTES',
    path: '/crossing',
    body: CHAT,
    startup: `app.post('/crossing', async (req, res) => {
      let bytes = 0;
      for await (const chunk of req) bytes += chunk.length;
      res.json({ bytes });
    });`,
  },
  middleware: {
    capability: 'MIDDLEWARE',
    startup: `app.use((_req, res, next) => { res.setHeader('x-crossing', '1'); next(); });`,
  },
  hook: { capability: 'MIDDLEWARE', startup: `app.llm({ onRequest() {} });` },
  hooks: {
    capability: 'MIDDLEWARE',
    startup: `for (let n = 0; n < 4; n++) app.llm({ onRequest() {} });`,
  },
  auth: {
    capability: 'AUTH_PROVIDER',
    headers: { authorization: 'Bearer key' },
    startup: `app.authProvider({ name: 'a', authenticate: (request) =>
      request.get('authorization') === 'Bearer key' ? { id: 'team' } : null });`,
  },
  evaluator: {
    capability: 'EVALUATOR',
    startup: `app.evaluator({ name: 'e', mode: 'block', input: () => ({ action: 'pass' }) });`,
  },
  evaluators: {
    capability: 'EVALUATOR',
    startup: `for (let n = 0; n < 4; n++)
      app.evaluator({ name: 'e' + n, mode: 'block', input: () => ({ action: 'pass' }) });`,
  },
  strategy: {
    capability: 'ROUTING_STRATEGY',
    strategy: 'first',
    startup: `app.routingStrategy('first', { select: (_request, candidates) => candidates[0] });`,
  },
};

interface Cell {
  readonly phase: string;
  readonly tier: Tier;
  readonly connections: number;
  readonly target: LoopTarget;
  /** Of each round, in microseconds: the median at one connection, the time per request at many. */
  readonly micros: number[];
}

const [seconds = '2', rounds = '3', ...chosen] = process.argv.slice(2);
const unknown = chosen.find((name) => !Object.hasOwn(PHASES, name));
if (unknown !== undefined)
  throw new Error(`saw the phase ${unknown}, expected some of ${Object.keys(PHASES).join(', ')}`);
const tmp = mkdtempSync(join(tmpdir(), 'routeiq-crossing-'));
const processes = new Processes(tmp);
const wrk = new Wrk(tmp);
try {
  console.log('| phase | inline, c=1 | isolated | added | inline, c=64 | isolated | added |');
  console.log('|---|---|---|---|---|---|---|');
  for (const phase of chosen.length > 0 ? chosen : Object.keys(PHASES)) {
    const cells = await measure(phase);
    console.log(row(phase, cells));
  }
} finally {
  await processes.stopAll();
  rmSync(tmp, { recursive: true, force: true });
}

/** Both tiers run at the same time and take turns: what else the machine does meets both. */
async function measure(phase: string): Promise<Cell[]> {
  const cells: Cell[] = [];
  const gateways = [];
  for (const [index, tier] of TIERS.entries()) {
    const port = FIRST_PORT + index;
    gateways.push(await startGateway(phase, tier, port));
    const { path, headers = {} } = PHASES[phase] as Phase;
    const target = { port, headers, ...(path !== undefined && { path }) };
    for (const connections of CONNECTIONS) cells.push({ phase, tier, connections, target, micros: [] });
  }
  for (const cell of cells) await load(cell, 1);
  for (const cell of cells) cell.micros.length = 0;
  for (let round = 0; round < Number(rounds); round++)
    for (const cell of cells) await load(cell, Number(seconds));
  for (const gateway of gateways) await processes.stop(gateway);
  return cells;
}

async function load({ target, connections, micros, phase, tier }: Cell, forSeconds: number): Promise<void> {
  const body = Buffer.from(PHASES[phase]?.body ?? (target.path === undefined ? CHAT : ''));
  const { p50, perSecond, errors } = await wrk.loop(target, body, connections, forSeconds);
  if (errors > 0)
    throw new Error(`${phase}, ${tier}: ${errors} requests failed: ${await sample(target, body)}`);
  micros.push(connections === 1 ? p50 : 1e6 / perSecond);
}

/** An answer, for who has to find out what failed. */
async function sample({ port, path, headers }: LoopTarget, body: Buffer): Promise<string> {
  const url = `http://127.0.0.1:${port}${path ?? CHAT_PATH}`;
  const type = { 'content-type': 'application/json', ...headers };
  const answer = await fetch(url, { method: 'POST', headers: type, body: new Uint8Array(body) });
  return `${answer.status} ${await answer.text()}`;
}

function startGateway(phase: string, tier: Tier, port: number): ReturnType<Processes['start']> {
  const { capability, startup, strategy = 'simple-shuffle' } = PHASES[phase] as Phase;
  const cwd = join(tmp, `${phase}-${tier}`);
  mkdirSync(join(cwd, 'plugins', phase), { recursive: true });
  writeFileSync(
    join(cwd, 'plugins', phase, 'index.mjs'),
    `export default {
      metadata: { name: '${phase}', version: '1.0.0', capabilities: ['${capability}'] },
      startup(app) { ${startup} },
    };`,
  );
  const echo = { model_name: 'echo', litellm_params: { model: 'echo/echo' } };
  const config = { model_list: [echo, echo], router_settings: { routing_strategy: strategy } };
  writeFileSync(join(cwd, 'gateway.yaml'), JSON.stringify(config));
  return processes.start(`${phase}-${tier}`, ALL_CORES, port, {
    args: [...profiling(cwd), join(ROOT, 'dist/index.js')],
    cwd,
    env: { PORT: String(port), LLMROUTER_PLUGINS_ISOLATION: tier },
  });
}

/** `BENCH_PROFILE`: a folder for a profile of the gateway's own process. */
function profiling(cwd: string): string[] {
  const { BENCH_PROFILE: dir } = process.env;
  return dir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(dir, cwd.slice(tmp.length + 1))}`];
}

function row(phase: string, cells: readonly Cell[]): string {
  const figures = CONNECTIONS.flatMap((connections) => {
    const [inline = 0, isolated = 0] = TIERS.map((tier) => {
      const cell = cells.find((each) => each.tier === tier && each.connections === connections);
      return quantile(cell?.micros ?? [], 0.5);
    });
    return [inline, isolated, isolated - inline].map((micros) => `${micros.toFixed(0)} µs`);
  });
  return `| ${[phase, ...figures].join(' | ')} |`;
}
