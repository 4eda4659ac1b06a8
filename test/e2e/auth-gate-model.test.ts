import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { loadConfig } from '../../src/config/load.ts';
import { createGateway, type Gateway } from '../../src/gateway.ts';
import { type LogLine, recordingLog } from '../lifecycle/support.ts';
import { tempDir, writeFiles } from '../support/gateway-process.ts';
import { ADMIN_KEY } from './support.ts';

const CREDENTIALS = { authorization: 'Bearer in' };
const FAILURES_THAT_TRIP = 3;
/** In which the watcher acts, as a rule. What has to hold, holds whether it does or not. */
const TO_LOOK_MS = 1500;
const LONGEST_LOOK_MS = 5000;

type Mode = 'continue' | 'quarantine';
/** What the files of the auth plugin are like. */
type Files = 'good' | 'throws' | 'unparsable' | 'unhealthy' | 'hangs';

function authPlugin(version: number, mode: Mode, files: Files): Record<string, string> {
  const manifest = { name: 'auth', capabilities: ['AUTH_PROVIDER'], failureMode: mode };
  const startup: Readonly<Record<Files, string>> = {
    good: '',
    unhealthy: '',
    throws: 'throw new Error("no keys");',
    unparsable: 'const = ;',
    hangs: 'await new Promise(() => {});',
  };
  return {
    'plugins/auth/package.json': JSON.stringify({
      type: 'module',
      version: `${version}.0.0`,
      llmrouter: manifest,
    }),
    'plugins/auth/check.js': `
      export function check({ headers }) {
        if (headers['x-fail'] === 'throw') throw new Error('as asked');
        if (headers['x-fail'] === 'shape') return 'yes';
        return headers.authorization === 'Bearer in' ? { id: 'v${version}' } : null;
      }`,
    'plugins/auth/index.js': `
      import { check } from './check.js';
      export default {
        async startup(app) {
          ${startup[files]}
          app.authProvider({ name: 'key', authenticate: check });
        },
        healthCheck: () => ({ status: '${files === 'unhealthy' ? 'unhealthy' : 'ok'}' }),
      };`,
  };
}

const GUARDED = `export default {
  metadata: { name: 'guarded', version: '1.0.0', capabilities: ['ROUTES'] },
  startup(app) { app.get('/guarded', (_req, res) => { res.send('inside'); }); },
};`;

/** What a run knows of the gateway: only what decides which steps make sense. */
interface Model {
  version: number;
  isThere: boolean;
}

/** A gateway in this process, and somebody without credentials who never stops to ask. */
class Scene {
  readonly dir: string;
  readonly mode: Mode;
  /** Statuses that the intruder has seen. */
  readonly seen = new Set<number>();
  readonly entered: string[] = [];
  step = 'start';
  #lines: readonly LogLine[] = [];
  #gateway: Gateway | null = null;
  #port = 0;
  #isOver = false;
  #intruder: Promise<unknown> = Promise.resolve();

  constructor(dir: string, mode: Mode) {
    this.dir = dir;
    this.mode = mode;
  }

  async start(): Promise<void> {
    const { log, lines } = recordingLog();
    this.#lines = lines;
    const env = {
      PORT: '0',
      LLMROUTER_ADMIN_KEY: ADMIN_KEY,
      LLMROUTER_PLUGINS_WATCH: 'true',
      LLMROUTER_PLUGINS_STARTUP_TIMEOUT_MS: '200',
      LLMROUTER_PLUGINS_STALL_TIMEOUT_MS: '0',
      LLMROUTER_PLUGINS_FAILURE_THRESHOLD: String(FAILURES_THAT_TRIP),
      LLMROUTER_PLUGINS_COOLDOWN_MS: '1',
    };
    const config = loadConfig({ env, cwd: this.dir, isTTY: false });
    this.#gateway = createGateway(config, { log, onAbort: (error) => assert.fail(error) });
    const started = this.#gateway.start();
    while (!lines.some(({ event }) => event === 'listening')) await delay(1);
    this.#port = Number(lines.find(({ event }) => event === 'listening')?.port);
    this.#isOver = false;
    this.#intruder = Promise.all([this.#intrude(), this.#intrude()]);
    await started;
  }

  /** The intruder goes on until the last connection is refused. */
  async stop(): Promise<void> {
    await this.#gateway?.stop();
    this.#isOver = true;
    await this.#intruder;
  }

  /** How often plugins were reloaded, or kept although their files are gone. */
  actsOfWatcher(): number {
    return this.#lines.filter(({ event }) => event === 'plugins_reloaded' || event === 'plugin_orphaned')
      .length;
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.#port}${path}`, init);
  }

  async admin(
    path: string,
    method = 'POST',
  ): Promise<{ status: number; state: string; until?: string | null }> {
    const response = await this.fetch(`/admin/plugins${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    const { state, quarantine } = (await response.json()) as {
      state: string;
      quarantine?: { until: string | null };
    };
    return { status: response.status, state, ...(quarantine && { until: quarantine.until }) };
  }

  async #intrude(): Promise<void> {
    const chat = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"model":"echo","messages":[{"role":"user","content":"x"}]}',
    };
    const asks: readonly [string, RequestInit][] = [
      ['/guarded', {}],
      ['/v1/models', { headers: { authorization: 'Bearer wrong' } }],
      ['/v1/chat/completions', chat],
      ['/GUARDED/', {}],
    ];
    for (let i = 0; !this.#isOver; i++) {
      const [path, init] = asks[i % asks.length] ?? ['/', {}];
      try {
        const response = await this.fetch(path, init);
        this.seen.add(response.status);
        if (response.ok) this.entered.push(`${path} during ${this.step}: ${await response.text()}`);
        else await response.body?.cancel();
      } catch {
        await delay(1); // nobody listens at the moment
      }
    }
  }
}

/** One thing that happens, and what has to hold after it whatever happened before. */
class Step {
  readonly #name: string;
  readonly #act: (scene: Scene, model: Model) => Promise<unknown>;
  readonly #makesSense: (model: Model) => boolean;

  constructor(
    name: string,
    act: (scene: Scene, model: Model) => Promise<unknown>,
    makesSense: (model: Model) => boolean = () => true,
  ) {
    this.#name = name;
    this.#act = act;
    this.#makesSense = makesSense;
  }

  check(model: Readonly<Model>): boolean {
    return this.#makesSense(model);
  }

  async run(model: Model, scene: Scene): Promise<void> {
    scene.step = this.#name;
    await this.#act(scene, model);
    const before = await scene.admin('/auth', 'GET');
    const { status } = await scene.fetch('/guarded', { headers: CREDENTIALS });
    const after = await scene.admin('/auth', 'GET');
    // A watched folder may act in between.
    if (before.state === after.state) {
      if (before.state === 'started') assert.equal(status, 200, `a started plugin, after ${this.#name}`);
      if (before.until === null && after.until === null) assert.equal(status, 503, this.#name);
      if (before.state === 'failed') assert.equal(status, 503, this.#name);
    }
    assert.deepEqual(scene.entered, []);
  }

  toString(): string {
    return this.#name;
  }
}

const isThere = ({ isThere }: Model): boolean => isThere;

const write = (files: Files): Step =>
  new Step(`write ${files}`, async (scene, model) => {
    model.isThere = true;
    writeFiles(scene.dir, authPlugin(++model.version, scene.mode, files));
  });

const fail = (how: 'throw' | 'shape'): Step =>
  new Step(`fail by ${how}`, async (scene) => {
    const headers = { ...CREDENTIALS, 'x-fail': how };
    for (let i = 0; i < FAILURES_THAT_TRIP; i++) {
      const { status } = await scene.fetch('/guarded', { headers });
      assert.equal(status, 503);
    }
  });

/** By the watcher: an operator's reload of all would mean that the plugin is to go, and the gate with it. */
const vanish = new Step(
  'vanish',
  async (scene, model) => {
    model.isThere = false;
    const before = scene.actsOfWatcher();
    rmSync(join(scene.dir, 'plugins/auth'), { recursive: true });
    for (let waited = 0; scene.actsOfWatcher() === before && waited < LONGEST_LOOK_MS; waited += 10)
      await delay(10);
  },
  isThere,
);

const restart = new Step(
  'restart',
  async (scene) => {
    await scene.stop();
    await scene.start();
  },
  isThere,
);

const STEPS = [
  ...(['good', 'good', 'throws', 'unparsable', 'unhealthy', 'hangs'] as const).map((files) =>
    fc.constant(write(files)),
  ),
  ...(['throw', 'shape'] as const).map((how) => fc.constant(fail(how))),
  fc.constant(new Step('reload auth', (scene) => scene.admin('/auth/reload'))),
  fc.constant(new Step('reload all', (scene) => scene.admin('/reload'), isThere)),
  fc.constant(new Step('quarantine', (scene) => scene.admin('/auth/quarantine'))),
  fc.constant(new Step('release', (scene) => scene.admin('/auth/release'))),
  fc.constant(new Step('rest', () => delay(20))),
  fc.constant(new Step('let the watcher look', () => delay(TO_LOOK_MS))),
  fc.constant(
    new Step('reload and quarantine at once', (scene) =>
      Promise.all([
        scene.admin('/auth/reload'),
        scene.admin('/auth/quarantine'),
        scene.admin('/auth/release'),
      ]),
    ),
  ),
  fc.constant(vanish),
  fc.constant(restart),
];

test('whatever happens to an auth plugin, nobody without credentials gets in', async (t) => {
  const seen = new Set<number>();
  const property = fc.asyncProperty(
    fc.constantFrom<Mode>('continue', 'quarantine'),
    fc.constantFrom<Files>('good', 'good', 'throws', 'unparsable'),
    // Not `fc.commands`: most of its lists are short, and the way to a hole in the gate may be long.
    fc.array(fc.oneof(...STEPS), { minLength: 8, maxLength: 12 }),
    async (mode, files, steps) => {
      const dir = tempDir(t, { 'plugins/guarded.mjs': GUARDED, ...authPlugin(1, mode, files) });
      const scene = new Scene(dir, mode);
      await scene.start();
      try {
        const model = { version: 1, isThere: true };
        for (const step of steps) if (step.check(model)) await step.run(model, scene);
      } finally {
        scene.step = 'stop';
        await scene.stop();
      }
      assert.deepEqual(scene.entered, []);
      for (const status of scene.seen) seen.add(status);
    },
  );
  await fc.assert(property, { numRuns: 15, interruptAfterTimeLimit: 40_000, endOnFailure: true });
  assert.ok(seen.has(401) && seen.has(503), `the intruder saw ${[...seen].join()}`);
});
