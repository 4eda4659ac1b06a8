import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, symlinkSync } from 'node:fs';
import { get, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { createGunzip, gunzipSync } from 'node:zlib';
import { type GatewayProcess, startGateway, tempDir } from '../support/gateway-process.ts';
import { chat, failureOf, inspectPlugin, metric, outcome, WITH_ADMIN } from './support.ts';

const NODE_MODULES = join(import.meta.dirname, '../../node_modules');
const ISOLATED = { ...WITH_ADMIN, LLMROUTER_PLUGINS_ISOLATION: 'process,pages=inline' };

/** Routes in the gateway's own process, whose answers middleware in other processes is to work on. */
const PAGES = `export default { metadata: { name: 'pages', capabilities: ['ROUTES'] },
  startup(app) {
    app.get('/pages/text', (req, res) => res.type('text/plain').set('x-page', 'yes').send('a page '.repeat(20)));
    app.get('/pages/short', (req, res) => { res.type('text/plain'); res.end('short'); });
    app.get('/pages/empty', (req, res) => res.status(204).end());
    app.get('/pages/gone', (req, res) => res.status(410).json({ gone: true }));
    app.get('/pages/events', (req, res) => {
      res.writeHead(200, 'Fine', ['content-type', 'text/event-stream', 'x-list', 'a', 'x-list', 'b']);
      const write = () => res.write('data: ' + 'x'.repeat(100) + '\\n\\n');
      write();
      res.on('close', () => clearInterval(timer));
      const timer = setInterval(write, 20);
    });
    app.get('/pages/large', async (req, res) => {
      const piece = Buffer.alloc(65536, 'x');
      res.type('text/plain');
      for (let i = 0; i < 320; i++) if (!res.write(piece)) await new Promise((resolve) => res.once('drain', resolve));
      res.end();
    });
  } };`;

/** A plugin whose one middleware is `handler`, in a folder in which npm's packages are found. */
const middleware = (name: string, imports: string, handler: string): Record<string, string> => ({
  [`plugins/${name}/package.json`]: JSON.stringify({ name, type: 'module', main: './index.js' }),
  [`plugins/${name}/index.js`]: `${imports}
    export default { metadata: { name: '${name}', capabilities: ['MIDDLEWARE', 'ROUTES'] },
      startup(app, context) { app.use(${handler}); app.get('/${name}', (req, res) => res.send('here')); } };`,
});

const COMPRESSION = middleware(
  'squeezing',
  `import compression from 'compression';`,
  'compression({ threshold: 16 })',
);

async function start(
  t: Parameters<typeof tempDir>[0],
  files: Record<string, string>,
): Promise<GatewayProcess> {
  const dir = tempDir(t, { 'plugins/pages.mjs': PAGES, ...files });
  for (const path of Object.keys(files).filter((each) => each.endsWith('package.json'))) {
    const folder = join(dir, path, '..');
    mkdirSync(folder, { recursive: true });
    symlinkSync(NODE_MODULES, join(folder, 'node_modules'));
  }
  return startGateway(t, { env: ISOLATED, dir });
}

async function ask(gateway: GatewayProcess, path: string, headers = { 'accept-encoding': 'gzip' }) {
  const [answer] = (await once(get(`${gateway.url}${path}`, { headers }), 'response')) as [IncomingMessage];
  const body = Buffer.concat(await answer.toArray());
  return { status: answer.statusCode, headers: answer.headers, raw: body };
}

test("npm's compression compresses the answers of others from a process of its own", async (t) => {
  const gateway = await start(t, COMPRESSION);

  await t.test('of the data plane', async () => {
    const answer = await chat(gateway, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(answer.headers.get('content-encoding'), 'gzip');
    assert.ok(answer.headers.get('x-llmrouter-deployment'));
    const { choices } = (await answer.json()) as { choices: { message: { content: string } }[] };
    assert.equal(choices[0]?.message.content, 'hello there');
  });

  await t.test('of a route, with its status and headers', async () => {
    const { status, headers, raw } = await ask(gateway, '/pages/text');
    assert.deepEqual([status, headers['content-encoding'], headers['x-page']], [200, 'gzip', 'yes']);
    assert.match(headers.vary ?? '', /accept-encoding/i);
    assert.ok(headers['x-request-id']);
    assert.equal(gunzipSync(raw).toString(), 'a page '.repeat(20));
    const gone = await ask(gateway, '/pages/gone', { 'accept-encoding': 'identity' });
    assert.deepEqual([gone.status, gone.raw.toString()], [410, '{"gone":true}']);
    assert.equal((await ask(gateway, '/pages/empty')).status, 204);
    assert.equal((await ask(gateway, '/nowhere')).status, 404);
  });

  await t.test('but not a short one, whose length it sees', async () => {
    const { headers, raw } = await ask(gateway, '/pages/short');
    assert.deepEqual([headers['content-encoding'], raw.toString()], [undefined, 'short']);
  });

  await t.test('of event streams, event by event, until the client leaves', async () => {
    const call = get(`${gateway.url}/pages/events`, { headers: { 'accept-encoding': 'gzip' } });
    const [answer] = (await once(call, 'response')) as [IncomingMessage];
    assert.deepEqual(
      [answer.statusMessage, answer.headers['x-list'], answer.headers['content-encoding']],
      ['Fine', 'a, b', 'gzip'],
    );
    const text = answer.pipe(createGunzip());
    const [event] = (await once(text, 'data')) as [Buffer];
    assert.match(String(event), /^data: x+\n\n/);
    call.destroy();
    assert.equal((await ask(gateway, '/pages/text')).status, 200);
  });

  await t.test('of chats that stream', async () => {
    const headers = { 'content-type': 'application/json', 'accept-encoding': 'gzip' };
    const call = request(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers });
    call.end('{"model":"echo","stream":true,"messages":[{"role":"user","content":"one two"}]}');
    const [answer] = (await once(call, 'response')) as [IncomingMessage];
    assert.equal(answer.headers['content-encoding'], 'gzip');
    const text = Buffer.concat(await answer.pipe(createGunzip()).toArray()).toString();
    assert.match(text, /data: \[DONE\]\n\n$/);
  });

  await t.test('of 20 MiB, whole', async () => {
    const { raw } = await ask(gateway, '/pages/large');
    assert.equal(gunzipSync(raw).length, 320 * 65_536);
  });

  assert.equal((await inspectPlugin(gateway, 'squeezing')).failures.total, 0);
});

test('several plugins wrap the same answer, each in its own process', async (t) => {
  const gateway = await start(t, {
    ...middleware(
      'a-log',
      `import morgan from 'morgan';`,
      `morgan(':status :url :res[content-encoding]', { stream: { write: (line) => context.logger.info('access', { line: line.trim() }) } })`,
    ),
    ...middleware('b-squeezing', `import compression from 'compression';`, 'compression({ threshold: 0 })'),
    ...middleware(
      'c-shouting',
      '',
      `(req, res, next) => { const { end } = res; res.end = (body, ...rest) => end.call(res, String(body).toUpperCase(), ...rest); next(); }`,
    ),
  });
  const { raw } = await ask(gateway, '/pages/text');
  assert.equal(gunzipSync(raw).toString(), 'A PAGE '.repeat(20));
  await gateway.logged(({ line }) => line === '200 /pages/text gzip');
});

test('an answer that was to pass through a process that ends is an error, or cut', async (t) => {
  const gateway = await start(
    t,
    middleware(
      'fragile',
      '',
      `(req, res, next) => {
        const { write, end } = res;
        let bytes = 0;
        res.write = (...args) => {
          bytes += args[0].length;
          if (req.query.die === 'late' && bytes > 1_000_000) process.exit(3);
          return write.apply(res, args);
        };
        res.end = (...args) => { if (req.query.die === 'early') process.exit(3); return end.apply(res, args); };
        next();
      }`,
    ),
  );
  assert.deepEqual(await outcome(fetch(`${gateway.url}/pages/text?die=early`)), {
    status: 500,
    code: 'plugin_error',
  });
  // Cut before or after its head has arrived: on a busy machine either may be.
  await assert.rejects(async () => (await fetch(`${gateway.url}/pages/large?die=late`)).arrayBuffer());
  assert.equal((await fetch(`${gateway.url}/pages/text`)).status, 200, 'the process is replaced');
  assert.equal(await metric(gateway, 'llmrouter_plugin_failures_total', { plugin: 'fragile' }), 2);
});

test('what the wrapping throws is a failure of the plugin and no answer of anybody', async (t) => {
  const gateway = await start(
    t,
    middleware(
      'throwing',
      '',
      `(req, res, next) => { res.end = () => { throw new Error('cannot end'); }; next(); }`,
    ),
  );
  assert.deepEqual(await outcome(fetch(`${gateway.url}/pages/text`)), { status: 500, code: 'plugin_error' });
  await gateway.logged(failureOf('throwing'));
});

test('middleware that replaces what others never call there does not half-work', async (t) => {
  const gateway = await start(
    t,
    middleware('replacing', '', '(req, res, next) => { res.json = () => res.end("replaced"); next(); }'),
  );
  assert.equal((await chat(gateway)).status, 200, 'the request goes on without it');
  const { error } = await gateway.logged(failureOf('replacing'));
  assert.match(
    (error as { message: string }).message,
    /replaces res\.json\(\) and hands on.*run the plugin inline/,
  );
});
