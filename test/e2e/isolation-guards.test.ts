import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cleanup, type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { chat, outcome, pluginFile, transitionOf, WITH_ADMIN } from './support.ts';

const STRANGERS = 10;

/** Guards, each of which a request can end: by its name in `x-die`, or the word "die". */
const GUARDS = {
  'plugins/keys.mjs': pluginFile({
    metadata: { name: 'keys', capabilities: ['AUTH_PROVIDER'] },
    startup(app) {
      app.authProvider({
        name: 'keys',
        authenticate(request) {
          if (request.get('x-die') === 'keys') process.exit(1);
          return request.get('authorization') === 'Bearer mine' ? { id: 'me' } : null;
        },
      });
    },
  }),
  'plugins/censor.mjs': pluginFile({
    metadata: { name: 'censor', capabilities: ['EVALUATOR'] },
    startup(app) {
      app.evaluator({
        name: 'censor',
        mode: 'block',
        input({ text }) {
          if (text.includes('die')) process.exit(1);
          return text.includes('forbidden') ? { action: 'block' } : { action: 'pass' };
        },
      });
    },
  }),
  'plugins/gate.mjs': pluginFile({
    metadata: { name: 'gate', capabilities: ['MIDDLEWARE'], failClosed: true },
    startup(app) {
      app.use('/open', (req, res, next) => {
        if (req.get('x-die') === 'gate') process.exit(1);
        if (req.get('x-pass') === undefined) res.sendStatus(403);
        else next();
      });
    },
  }),
  'plugins/open.mjs': pluginFile({
    metadata: { name: 'open', capabilities: ['ROUTES'] },
    startup(app) {
      app.get('/open', (_req, res) => void res.send('open'));
    },
  }),
};

type Ask = (gateway: GatewayProcess) => Promise<Response>;

interface Guard {
  readonly plugin: string;
  /** Must never be answered with a 2xx. */
  readonly forbidden: Ask;
  /** Ends the guard's process. */
  readonly kill: Ask;
  /** Is answered with a 2xx while the guard is there. */
  readonly allowed: Ask;
  readonly refusal: number;
  /** While the guard is not there. */
  readonly down: { readonly status: number; readonly code: string };
}

const MINE = { authorization: 'Bearer mine' };
const GUARDED: readonly Guard[] = [
  {
    plugin: 'keys',
    forbidden: (gateway) => chat(gateway),
    kill: (gateway) => chat(gateway, { headers: { 'x-die': 'keys' } }),
    allowed: (gateway) => chat(gateway, { headers: MINE }),
    refusal: 401,
    down: { status: 503, code: 'auth_unavailable' },
  },
  {
    plugin: 'censor',
    forbidden: (gateway) => chat(gateway, { headers: MINE, messages: said('forbidden') }),
    kill: (gateway) => chat(gateway, { headers: MINE, messages: said('die') }),
    allowed: (gateway) => chat(gateway, { headers: MINE }),
    refusal: 400,
    down: { status: 503, code: 'evaluator_unavailable' },
  },
  {
    plugin: 'gate',
    forbidden: ({ url }) => fetch(`${url}/open`, { headers: MINE }),
    kill: ({ url }) => fetch(`${url}/open`, { headers: { ...MINE, 'x-die': 'gate' } }),
    allowed: ({ url }) => fetch(`${url}/open`, { headers: { ...MINE, 'x-pass': '1' } }),
    refusal: 403,
    down: { status: 503, code: 'plugin_quarantined' },
  },
];

for (const guard of GUARDED)
  test(`what ${guard.plugin} guards stays shut while its process ends, comes back and is quarantined`, async (t) => {
    const gateway = await start(t, guard.plugin);
    const strangers = new Strangers(gateway, guard.forbidden);
    for (let deaths = 0; deaths < 3; deaths++) {
      assert.equal((await guard.kill(gateway)).ok, false);
      while (!(await guard.allowed(gateway)).ok);
    }
    assert.equal((await guard.forbidden(gateway)).status, guard.refusal);
    await guard.kill(gateway);
    await gateway.logged(transitionOf(guard.plugin, 'quarantined'));
    assert.deepEqual(await outcome(guard.forbidden(gateway)), guard.down);
    assert.deepEqual(await outcome(guard.allowed(gateway)), guard.down);
    const seen = await strangers.stop();
    assert.deepEqual(
      [...seen].filter((status) => status !== guard.refusal && status !== 503),
      [],
    );
    assert.ok(seen.has(guard.refusal) && seen.has(503), `saw ${[...seen].join(', ')}`);
  });

function start(t: Cleanup, isolated: string): Promise<GatewayProcess> {
  return startGateway(t, {
    files: GUARDS,
    env: {
      ...WITH_ADMIN,
      LLMROUTER_PLUGINS_ISOLATION: `${isolated}=process`,
      LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '4',
    },
  });
}

function said(content: string): unknown {
  return [{ role: 'user', content }];
}

/** Clients that never stop to ask for what they may not have. */
class Strangers {
  readonly #seen = new Set<number>();
  readonly #loops: readonly Promise<void>[];
  #isStopped = false;

  constructor(gateway: GatewayProcess, ask: Ask) {
    this.#loops = Array.from({ length: STRANGERS }, () => this.#loop(gateway, ask));
  }

  /** The statuses that they saw. */
  async stop(): Promise<ReadonlySet<number>> {
    this.#isStopped = true;
    await Promise.all(this.#loops);
    return this.#seen;
  }

  async #loop(gateway: GatewayProcess, ask: Ask): Promise<void> {
    while (!this.#isStopped) {
      const response = await ask(gateway);
      this.#seen.add(response.status);
      await response.text();
    }
  }
}
