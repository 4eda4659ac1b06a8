import assert from 'node:assert/strict';
import { Agent, get } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { type GatewayProcess, type LogLine, startGateway } from '../support/gateway-process.ts';
import { chat, failureOf, inspectPlugin, metric, pluginFile, WITH_ADMIN } from './support.ts';

const CULPRIT = pluginFile({
  metadata: { name: 'culprit', capabilities: ['ROUTES', 'MIDDLEWARE'] },
  async startup(app) {
    const { EventEmitter } = await import('node:events');
    const emitter = new EventEmitter();
    app.get('/sync-throw', () => {
      throw new Error('secret of the operator');
    });
    app.get('/rejection', async () => {
      throw new Error('secret of the operator');
    });
    app.get('/throws-nothing', () => Promise.reject(null));
    app.get('/next-error', (_req, _res, next) => next(new Error('secret of the operator')));
    const hostile = (): object => {
      const trap = (): never => {
        throw new Error('trapped');
      };
      return new Proxy(new Error('x'), { get: trap, has: trap, getPrototypeOf: trap });
    };
    app.get('/throws-trap', () => {
      throw hostile();
    });
    app.get('/late-trap', (_req, res) => {
      setTimeout(() => {
        throw hostile();
      }, 1);
      res.json({ first: true });
    });
    app.get('/hang', () => {});
    app.get('/hang-async', () => new Promise(() => {}));
    app.get('/double-json', (_req, res) => {
      res.json({ first: true });
      res.json({ second: true });
    });
    app.get('/write-after-end', (_req, res) => {
      res.end('{"first":true}');
      res.write('more');
    });
    app.get('/late-throw', (_req, res) => {
      setTimeout(() => {
        throw new Error('late');
      }, 1);
      res.json({ first: true });
    });
    app.get('/late-rejection', (_req, res) => {
      setTimeout(() => Promise.reject(new Error('late')), 1);
      res.json({ first: true });
    });
    app.get('/late-emitter', (_req, res) => {
      setImmediate(() => emitter.emit('error', new Error('late')));
      res.json({ first: true });
    });
    app.get('/microtask', (_req, res) => {
      queueMicrotask(() => {
        throw new Error('late');
      });
      res.json({ first: true });
    });
    app.get('/late-string', (_req, res) => {
      setTimeout(() => {
        throw 'a string';
      }, 1);
      res.json({ first: true });
    });
    app.get('/throw-after-answer', (_req, res) => {
      res.json({ first: true });
      throw new Error('late');
    });
    app.get('/half-answer', (_req, res) => {
      res.write('half');
      throw new Error('in the middle');
    });
    app.use('/next-twice', (_req, _res, next) => {
      next();
      next();
    });
    app.get('/next-twice', (_req, res) => void res.json({ first: true }));
    app.get('/refuses', () => {
      throw Object.assign(new Error('not like this'), { status: 422 });
    });
  },
});

/** Its routes take a while, so that requests are in flight whenever something happens. */
const INNOCENT = pluginFile({
  metadata: { name: 'innocent', capabilities: ['ROUTES', 'MIDDLEWARE'] },
  startup(app) {
    app.use((_req, _res, next) => {
      setImmediate(() => next());
    });
    app.get('/innocent', (_req, res) => {
      setTimeout(() => res.json({ innocent: true }), 5);
    });
  },
});

/** Keeps 20 requests in flight over kept-alive connections. */
class Innocents {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 20 });
  readonly #answers: Promise<{ status: number | undefined; body: string }>[] = [];
  #running = true;
  readonly #clients: Promise<void>[];

  constructor(gateway: GatewayProcess) {
    this.#clients = Array.from({ length: 20 }, (_unused, index) => this.#client(gateway, index));
  }

  async stop(): Promise<readonly { status: number | undefined; body: string }[]> {
    this.#running = false;
    await Promise.all(this.#clients);
    this.#agent.destroy();
    return Promise.all(this.#answers);
  }

  async #client(gateway: GatewayProcess, index: number): Promise<void> {
    while (this.#running) {
      const answer = index % 2 === 0 ? this.#get(`${gateway.url}/innocent`) : this.#ask(gateway);
      this.#answers.push(answer);
      await answer;
    }
  }

  #get(url: string): Promise<{ status: number | undefined; body: string }> {
    return new Promise((resolve, reject) => {
      get(url, { agent: this.#agent }, async (res) => {
        resolve({ status: res.statusCode, body: await text(res) });
      }).on('error', reject);
    });
  }

  async #ask(gateway: GatewayProcess): Promise<{ status: number; body: string }> {
    const response = await chat(gateway, { stream: true });
    return { status: response.status, body: await response.text() };
  }
}

interface Deed {
  readonly path: string;
  /** What the client gets: a status and, for errors, their code. */
  readonly answer: readonly [status: number, code: string | null];
  readonly failures: number;
}

const DEEDS: readonly Deed[] = [
  { path: '/sync-throw', answer: [500, 'plugin_error'], failures: 1 },
  { path: '/rejection', answer: [500, 'plugin_error'], failures: 1 },
  { path: '/throws-nothing', answer: [500, 'plugin_error'], failures: 1 },
  { path: '/throws-trap', answer: [500, 'plugin_error'], failures: 1 },
  { path: '/late-trap', answer: [200, null], failures: 1 },
  { path: '/next-error', answer: [500, 'plugin_error'], failures: 1 },
  { path: '/hang', answer: [504, 'plugin_timeout'], failures: 1 },
  { path: '/hang-async', answer: [504, 'plugin_timeout'], failures: 1 },
  { path: '/double-json', answer: [200, null], failures: 1 },
  { path: '/write-after-end', answer: [200, null], failures: 1 },
  { path: '/next-twice', answer: [200, null], failures: 1 },
  { path: '/late-throw', answer: [200, null], failures: 1 },
  { path: '/late-rejection', answer: [200, null], failures: 1 },
  { path: '/late-emitter', answer: [200, null], failures: 1 },
  { path: '/microtask', answer: [200, null], failures: 1 },
  { path: '/late-string', answer: [200, null], failures: 1 },
  { path: '/throw-after-answer', answer: [200, null], failures: 1 },
  { path: '/refuses', answer: [422, 'invalid_request'], failures: 0 },
];

describe('containment', () => {
  test('no failure of a plugin ends the process or disturbs 20 other clients; each is counted once, on the culprit', async (t) => {
    const gateway = await startGateway(t, {
      env: {
        ...WITH_ADMIN,
        LLMROUTER_PLUGINS_CALL_TIMEOUT_MS: '600',
        LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '1000',
      },
      files: { 'plugins/culprit.mjs': CULPRIT, 'plugins/innocent.mjs': INNOCENT },
    });
    const innocents = new Innocents(gateway);
    let expected = 0;

    for (const { path, answer, failures } of DEEDS) {
      await t.test(path, async () => {
        const response = await fetch(gateway.url + path, {
          headers: { 'x-request-id': `deed-${path.slice(1)}` },
        });
        const body = (await response.json()) as {
          first?: boolean;
          error?: { code: string; message: string };
        };
        assert.deepEqual([response.status, body.error?.code ?? null], answer);
        if (body.error === undefined) assert.deepEqual(body, { first: true });
        assert.doesNotMatch(JSON.stringify(body), /secret|plugins\/|\bat /);
        expected += failures;
        const found = await nthFailure(gateway, expected);
        if (failures > 0) assert.equal(found?.requestId, `deed-${path.slice(1)}`);
      });
    }

    await t.test('an answer that fails in the middle is cut, not completed', async () => {
      expected += 1;
      await assert.rejects(async () => (await fetch(`${gateway.url}/half-answer`)).text());
      await nthFailure(gateway, expected);
    });

    const answers = await innocents.stop();
    assert.ok(answers.length >= 20);
    assert.deepEqual(
      answers.filter(({ status }) => status !== 200),
      [],
    );
    for (const { body } of answers) assert.match(body, /^\{"innocent":true\}$|data: \[DONE\]\n\n$/);
    assert.equal((await inspectPlugin(gateway, 'innocent')).failures.total, 0);
    const { failures, state } = await inspectPlugin(gateway, 'culprit');
    assert.deepEqual([failures.total, failures.recent, state], [expected, expected, 'started']);
    assert.equal(await metric(gateway, 'llmrouter_plugin_failures_total', { plugin: 'culprit' }), expected);
    assert.equal(await metric(gateway, 'llmrouter_plugin_timeouts_total', { plugin: 'culprit' }), 2);
    assert.ok((await metric(gateway, 'llmrouter_plugin_calls_total', { plugin: 'culprit' })) >= DEEDS.length);
    assert.equal(await gateway.stop(), 0);
    assert.equal(gateway.log.filter(failureOf('culprit')).length, expected);
    assert.equal(gateway.log.some(failureOf('innocent')), false);
  });
});

/** The culprit's failure number `count`, once it has been logged. */
function nthFailure(gateway: GatewayProcess, count: number): Promise<LogLine | undefined> {
  let seen = 0;
  return gateway.logged((line) => failureOf('culprit')(line) && ++seen === count);
}
