import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { describe, test } from 'node:test';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { startUpstream } from '../support/upstream.ts';
import { chat, failureOf, inspectPlugin, metric, outcome, WITH_ADMIN } from './support.ts';

/** One plugin with every capability, as its author would write it for either tier. */
const EVERYTHING = `
import express, { Router } from 'express';
import { GatewayError } from 'routeiq-gateway/plugin';

const seen = { exported: 0, observed: 0, aborted: 0 };
const stored = new Map();

export default {
  metadata: {
    name: 'everything', version: '1.2.3',
    capabilities: ['ROUTES', 'MIDDLEWARE', 'ROUTING_STRATEGY', 'TOOL_RUNTIME', 'EVALUATOR', 'OBSERVABILITY_EXPORTER', 'AUTH_PROVIDER', 'PROVIDER'],
  },
  startup(app, context) {
    const calls = context.metrics.counter('calls', { labelNames: ['kind'] });
    const router = Router();
    router.get('/inner/:id', (req, res) => res.json({ baseUrl: req.baseUrl, url: req.url, params: req.params }));
    app.get('/e/json/:id', (req, res) => {
      res.status(201).cookie('a', '1').cookie('b', '2').json({ params: req.params, query: req.query, ip: req.ip, identity: req.identity, agent: req.get('x-agent') });
    })
      .post('/e/echo', (req, res) => { res.type('application/octet-stream'); req.pipe(res); })
      .post('/e/parsed', express.json(), (req, res) => res.json({ parsed: req.body }))
      .get('/e/events', async (req, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        res.write('data: 1\\n\\n');
        req.socket; res.on('close', () => { if (!res.writableFinished) seen.aborted++; });
        if (req.query.endless === undefined) res.end('data: 2\\n\\n');
      })
      .get('/e/large', async (req, res) => {
        const piece = Buffer.alloc(65536, 'x');
        for (let i = 0; i < 160; i++) if (!res.write(piece)) await new Promise((resolve) => res.once('drain', resolve));
        res.end();
      })
      .post('/e/pass/:any', (req, res, next) => next())
      .post('/e/pass/on', express.json(), (req, res) => res.json({ parsed: req.body }))
      .post('/e/unread', (req, res) => res.send('unread'))
      .get('/e/empty', (req, res) => res.status(204).end())
      .get('/e/throws', () => { throw new Error('a secret cause'); })
      .get('/e/rejects', async () => { throw new Error('a secret cause'); })
      .get('/e/refuses', () => { throw new GatewayError('permission_error', 'Not you', { param: 'x' }); })
      .get('/e/teapot', () => { throw Object.assign(new Error('I am a teapot'), { status: 418 }); })
      .get('/e/next', (req, res, next) => next())
      .get('/e/breaks', (req, res) => { res.write('half'); setImmediate(() => res.destroy()); })
      .get('/e/breaks-at-once', (req, res) => { res.write('half'); res.destroy(); })
      .get('/e/bytes/:length', (req, res) => res.end(Buffer.alloc(Number(req.params.length), 0xff)))
      .get('/e/pieces', (req, res) => { res.write('one, '); res.write('two, '); res.end(Buffer.from('thr\u00ebe')); })
      .get('/e/late', (req, res) => { setImmediate(() => { throw new Error('late'); }); res.send('sent'); })
      .get('/e/seen', (req, res) => res.json(seen))
      .get('/e/context', async (req, res) => {
        calls.inc({ kind: 'context' }, 2);
        context.logger.info('a line of mine', { deep: { value: 1 } });
        await context.storage.set('key', { a: [1, null] }, { ttlMs: 60000 });
        const blocked = await context.fetch('http://169.254.169.254/').catch(({ code, reason, name }) => ({ code, reason, name }));
        const invalid = await context.validateOutboundUrl('http://127.0.0.1/').catch(({ reason }) => reason);
        let wrongUse = null;
        try { calls.inc({ nobody: 1 }); } catch (error) { wrongUse = error.name; }
        res.json({
          greeting: context.settings.greeting, fallback: context.settings.get('absent', 7), frozen: Object.isFrozen(context.settings),
          stored: await context.storage.get('key'), absent: (await context.storage.get('absent')) === undefined,
          count: await context.storage.increment('n', 2), swapped: await context.storage.compareAndSet('new', undefined, 1),
          keys: await context.storage.list(), models: context.models.list().map(({ id }) => id),
          tools: (await context.tools.list()).map(({ name }) => name), called: await context.tools.call('add', { a: 1, b: 2 }),
          blocked, invalid, wrongUse,
        });
      })
      .mount('/e/router', router);
    app.use((req, res, next) => { res.setHeader('x-middleware', 'one'); req.headers['x-agent'] = 'changed'; next(); })
      .use((req, res, next) => { res.appendHeader('x-middleware', 'two'); next(); })
      .use('/e/moved', (req, res, next) => { req.url = '/e/json/moved?by=middleware'; req.originalUrl; next(); })
      .use('/e/answered', (req, res) => res.send('by the middleware'));
    app.use('/e/moved', (req, res, next) => next());
    app.llm({
      onRequest: (request) => {
        if (request.body.user === 'refused') throw Object.assign(new Error('no'), { status: 409 });
        if (request.body.user === 'answered') return { response: { id: 'mine', choices: [], object: 'chat.completion' } };
        return { body: { ...request.body, metadata: { changed: request.text } } };
      },
      onChunk: (request, event) => event.type === 'text' ? { ...event, text: event.text.toUpperCase() } : undefined,
    });
    app.llm({ onChunk: (request, event) => event.type === 'text' ? { ...event, text: event.text + '!' } : undefined });
    app.evaluator({ name: 'words', mode: 'block', window: 8,
      input: (request) => request.text.includes('forbidden') ? { action: 'block', message: 'a forbidden word' } : undefined,
      output: (request, response) => response.text.includes('SECRET') ? { action: 'block', message: 'a secret' } : { action: 'pass' } });
    app.routingStrategy('last', { select: (request, candidates) => candidates.at(-1), observe: () => { seen.observed++; } });
    app.toolRuntime({
      listTools: () => [{ name: 'add', description: 'Adds', inputSchema: { type: 'object', properties: { a: { type: 'number' } } } }],
      callTool: (name, { a, b }) => ({ content: [{ type: 'text', text: String(a + b) }] }),
    });
    app.exporter({ name: 'counts', export: (batch) => { seen.exported += batch.length; context.logger.info('exported'); } });
    app.authProvider({ name: 'keys', authenticate(request) {
      const key = request.get('X-Key');
      if (key === 'bad') throw Object.assign(new Error('a bad key'), { status: 401 });
      return key === 'nobody' ? null : { id: key ?? 'anybody', path: request.path };
    } });
    app.provider('mine', {
      chat: (request, deployment) => {
        const id = 'c', object = 'chat.completion', created = 0, model = deployment.group;
        const text = deployment.apiKey.reveal() + ' ' + deployment.model;
        if (!request.stream) return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ id, object, created, model, choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }] }) };
        return { status: 200, headers: { 'content-type': 'text/event-stream' }, body: (async function* () {
          for (const delta of [{ role: 'assistant', content: text }, { content: ' more' }])
            yield 'data: ' + JSON.stringify({ id, object: object + '.chunk', created, model, choices: [{ index: 0, delta, finish_reason: null }] }) + '\\n\\n';
          yield 'data: ' + JSON.stringify({ id, object: object + '.chunk', created, model, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }) + '\\n\\ndata: [DONE]\\n\\n';
        })() };
      },
    });
  },
  healthCheck: () => ({ status: 'degraded', message: 'a little' }),
};`;

for (const tier of ['inline', 'process'] as const) {
  describe(`every capability, ${tier}`, () => {
    test('does the same', async (t) => {
      const upstream = await startUpstream();
      t.after(() => upstream.close());
      const deployment = (name: string, model: string): string =>
        `  - { model_name: ${name}, litellm_params: { model: ${model}, api_key: k, api_base: '${upstream.url}' } }\n`;
      const gateway = await startGateway(t, {
        env: {
          ...WITH_ADMIN,
          LLMROUTER_PLUGINS_ISOLATION: tier,
          LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '1000',
          LLMROUTER_PLUGIN_EVERYTHING__GREETING: 'hello',
        },
        files: {
          'plugins/everything.mjs': EVERYTHING,
          'gateway.yaml': `model_list:\n${deployment('gpt', 'openai/a')}${deployment('gpt', 'openai/b')}${deployment('own', 'mine/special')}router_settings: { routing_strategy: last }\n`,
        },
      });
      await checkAdmin(gateway, tier);
      await checkRoutes(gateway);
      await checkStreams(gateway);
      await checkMiddleware(gateway);
      await checkContext(gateway);
      await checkLlm(gateway);
      await checkProvider(gateway);
      assert.equal(await gateway.stop(), 0);
    });
  });
}

async function checkAdmin(gateway: GatewayProcess, tier: string): Promise<void> {
  const plugin = await inspectPlugin(gateway, 'everything');
  assert.equal(plugin.state, 'started', JSON.stringify(plugin.reason));
  assert.equal(plugin.isolation, tier);
  assert.equal(plugin.version, '1.2.3');
  assert.deepEqual(plugin.contributes.evaluators, ['words']);
  const ready = (await (await fetch(`${gateway.url}/readyz`)).json()) as { plugins: unknown };
  assert.deepEqual(ready.plugins, { everything: { state: 'started', health: 'degraded' } });
}

async function checkRoutes(gateway: GatewayProcess): Promise<void> {
  const json = await fetch(`${gateway.url}/e/json/a%20b?x=1&x=2`, {
    headers: { 'x-key': 'me', 'x-agent': 'test' },
  });
  assert.equal(json.status, 201);
  assert.deepEqual(json.headers.getSetCookie(), ['a=1; Path=/', 'b=2; Path=/']);
  assert.deepEqual(await json.json(), {
    params: { id: 'a b' },
    query: { x: ['1', '2'] },
    ip: '127.0.0.1',
    identity: { id: 'me', path: '/e/json/a%20b' },
    agent: 'changed',
  });
  const get = (path: string, init?: RequestInit): Promise<Response> => fetch(gateway.url + path, init);
  assert.deepEqual(await (await get('/e/router/inner/7')).json(), {
    baseUrl: '/e/router',
    url: '/inner/7',
    params: { id: '7' },
  });
  assert.equal((await get('/e/empty')).status, 204);
  const head = await get('/e/json/x', { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [201, '']);
  for (const path of ['/e/throws', '/e/rejects']) {
    const failed = await get(path);
    assert.equal(failed.status, 500);
    const text = await failed.text();
    assert.match(text, /plugin_error/);
    assert.doesNotMatch(text, /secret/);
  }
  assert.deepEqual(await outcome(get('/e/refuses')), { status: 403, code: 'permission_error' });
  assert.equal((await get('/e/teapot')).status, 418);
  assert.deepEqual(await outcome(get('/e/next')), { status: 404, code: 'not_found' });
  for (const path of ['/e/breaks', '/e/breaks-at-once'])
    await assert.rejects(
      get(path).then((response) => response.text()),
      'half an answer is none',
    );
  assert.equal(await (await get('/e/late')).text(), 'sent');
  await gateway.logged((line) => failureOf('everything')(line) && line.kind === 'late');
  assert.deepEqual(await outcome(get('/e/json/1', { headers: { 'x-key': 'bad' } })), {
    status: 401,
    code: 'authentication_error',
  });
  assert.equal((await get('/e/json/1', { headers: { 'x-key': 'nobody' } })).status, 401);
}

async function checkStreams(gateway: GatewayProcess): Promise<void> {
  const sent = Buffer.alloc(3_000_000, 'abc');
  const echo = await fetch(`${gateway.url}/e/echo`, { method: 'POST', body: sent });
  assert.ok(Buffer.from(await echo.arrayBuffer()).equals(sent));
  const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":[1]}' };
  for (const path of ['/e/parsed', '/e/pass/on']) {
    const parsed = await fetch(gateway.url + path, json);
    assert.deepEqual(await parsed.json(), { parsed: { a: [1] } }, path);
  }
  for (const length of [0, 1, 60_000]) {
    const sent = Buffer.alloc(length, 0xfe);
    const echo = await fetch(`${gateway.url}/e/echo`, { method: 'POST', body: sent });
    assert.ok(Buffer.from(await echo.arrayBuffer()).equals(sent), `${length} bytes that are no text`);
    await checkUnread(`${gateway.url}/e/unread`, sent);
  }
  for (const length of [0, 1, 65_536, 65_537]) {
    const bytes = await (await fetch(`${gateway.url}/e/bytes/${length}`)).arrayBuffer();
    assert.ok(Buffer.from(bytes).equals(Buffer.alloc(length, 0xff)), `${length} bytes that are no text`);
  }
  assert.equal(await (await fetch(`${gateway.url}/e/pieces`)).text(), 'one, two, thrëe');
  const large = await fetch(`${gateway.url}/e/large`);
  assert.equal((await large.arrayBuffer()).byteLength, 160 * 65_536);
  const events = await fetch(`${gateway.url}/e/events`);
  assert.equal(await events.text(), 'data: 1\n\ndata: 2\n\n');
  await leaveEarly(`${gateway.url}/e/events?endless`);
  await until(
    async () => ((await (await fetch(`${gateway.url}/e/seen`)).json()) as { aborted: number }).aborted === 1,
  );
}

/** A body that nobody reads does not hold up the next request of its connection. */
async function checkUnread(url: string, body: Buffer): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let n = 0; n < 3; n++) {
    const sent = request(url, { agent, method: 'POST', headers: { 'content-length': body.length } }).end(
      body,
    );
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    assert.equal(Buffer.concat(await answer.toArray()).toString(), 'unread');
    assert.equal(sent.reusedSocket, n > 0);
  }
  agent.destroy();
}

/** Hangs up after the first event. */
async function leaveEarly(url: string): Promise<void> {
  const client = request(url).end();
  const [response] = (await once(client, 'response')) as [NodeJS.ReadableStream];
  const [first] = await once(response, 'data');
  assert.equal(String(first), 'data: 1\n\n');
  client.on('error', () => undefined);
  client.destroy();
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise(setImmediate);
}

async function checkMiddleware(gateway: GatewayProcess): Promise<void> {
  const healthy = await fetch(`${gateway.url}/e/json/1`);
  assert.equal(healthy.headers.get('x-middleware'), 'one, two');
  const answered = await fetch(`${gateway.url}/e/answered/anything`);
  assert.equal(await answered.text(), 'by the middleware');
}

async function checkContext(gateway: GatewayProcess): Promise<void> {
  const response = await fetch(`${gateway.url}/e/context`, { headers: { 'x-request-id': 'the-request' } });
  assert.deepEqual(await response.json(), {
    greeting: 'hello',
    fallback: 7,
    frozen: true,
    stored: { a: [1, null] },
    absent: true,
    count: 2,
    swapped: true,
    keys: ['key', 'n', 'new'],
    models: ['gpt', 'own'],
    tools: ['add'],
    called: { content: [{ type: 'text', text: '3' }] },
    blocked: { code: 'ssrf_blocked', reason: 'address', name: 'SSRFBlockedError' },
    invalid: 'address',
    wrongUse: 'RangeError',
  });
  const line = await gateway.logged(({ message }) => message === 'a line of mine');
  assert.deepEqual([line.plugin, line.requestId, line.deep], ['everything', 'the-request', { value: 1 }]);
  assert.equal(await metric(gateway, 'llmrouter_plugin_everything_calls', { kind: 'context' }), 2);
}

async function checkLlm(gateway: GatewayProcess): Promise<void> {
  const ask = (body: Record<string, unknown>): Promise<Response> => chat(gateway, { model: 'gpt', ...body });
  const answer = await ask({});
  assert.equal(answer.headers.get('x-llmrouter-deployment'), 'gpt/1', 'the strategy decides');
  const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] };
  assert.match(choices[0]?.message.content ?? '', /^[^a-z]+!$/, 'both hooks have changed the text');
  const streamed = await (await ask({ stream: true })).text();
  assert.match(streamed, /!/);
  assert.match(streamed, /\[DONE\]/);
  assert.equal((await ask({ user: 'refused' })).status, 409);
  assert.equal(((await (await ask({ user: 'answered' })).json()) as { id: string }).id, 'mine');
  const forbidden = ask({ messages: [{ role: 'user', content: 'a forbidden word' }] });
  assert.deepEqual(await outcome(forbidden), { status: 400, code: 'content_filter' });
  await gateway.logged(({ message }) => message === 'exported');
}

async function checkProvider(gateway: GatewayProcess): Promise<void> {
  const answer = await chat(gateway, { model: 'own' });
  const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] };
  assert.equal(choices[0]?.message.content, 'K SPECIAL!');
  const streamed = await (await chat(gateway, { model: 'own', stream: true })).text();
  assert.match(streamed, /K SPECIAL/);
  assert.match(streamed, / MORE/);
}

test("the operator's list holds for plugins whose name only their code knows", async (t) => {
  const named = (name: string): string =>
    `export default { metadata: { name: '${name}', capabilities: ['ROUTES'] },
       startup(app) { app.get('/${name}', (_req, res) => { res.json(process.pid); }); } };`;
  const gateway = await startGateway(t, {
    env: { ...WITH_ADMIN, LLMROUTER_PLUGINS_ISOLATION: 'process,second=inline' },
    files: { 'plugins/a.mjs': named('first'), 'plugins/b.mjs': named('second') },
  });
  assert.equal((await inspectPlugin(gateway, 'first')).isolation, 'process');
  assert.equal((await inspectPlugin(gateway, 'second')).isolation, 'inline');
  assert.equal(await (await fetch(`${gateway.url}/second`)).json(), gateway.pid);
});
