import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { type GatewayProcess, type LogLine, startGateway } from '../support/gateway-process.ts';
import { chat, WITH_ADMIN } from './support.ts';

/** Tells in the log which events a request and its response had, once both are closed. */
const WATCHED = `
const watch = (context, req, res) => {
  const events = { req: [], res: [] };
  const waiting = new Set(['req', 'res']);
  const note = (of, message, name) => message.on(name, () => {
    events[of].push(name);
    if (name === 'close') waiting.delete(of);
    if (waiting.size > 0 || events.told) return;
    events.told = true;
    const { statusCode, statusMessage, headersSent, writableFinished } = res;
    const { aborted, destroyed } = req;
    context.logger.info('closed', { of: req.originalUrl, by: req.get('x-by') ?? '', req: events.req.join(' '), res: events.res.join(' '),
      state: { statusCode, statusMessage, headersSent, writableFinished, gone: res.destroyed, aborted, destroyed }, page: res.getHeader('x-page') ?? null });
  });
  for (const name of ['end', 'aborted', 'close']) note('req', req, name);
  for (const name of ['finish', 'close']) note('res', res, name);
};`;

/** The routes of one tier; the other plugin's are its others. */
const plugin = (name: string, other: string): string => `${WATCHED}
export default {
  metadata: { name: '${name}', capabilities: ['ROUTES', 'MIDDLEWARE'] },
  startup(app, context) {
    let slow;
    app.get('/${name}/plain', (req, res) => { watch(context, req, res); res.send('x'); })
      .post('/${name}/unread', (req, res) => { watch(context, req, res); res.send('x'); })
      .post('/${name}/read', (req, res) => { watch(context, req, res); req.resume().on('end', () => res.send('x')); })
      .get('/${name}/silent', (req, res) => { watch(context, req, res); context.logger.info('waiting', { of: req.originalUrl }); })
      .get('/${name}/begun', (req, res) => { watch(context, req, res); res.write('x'); })
      .get('/${name}/twice', (req, res) => { res.send('first'); res.send('second'); })
      .get('/${name}/ended', (req, res) => { res.end('whole'); throw new Error('after the end'); })
      .get('/${name}/page', (req, res) => { res.status(203).set('X-Page', 'yes').send('page'); })
      .get('/${name}/trailers', (req, res) => { res.set('Trailer', 'X-Sum'); res.write('summed'); res.addTrailers({ 'X-Sum': '6' }); res.end(); })
      .get('/${name}/streamed-trailers', async (req, res) => {
        res.set('Trailer', 'X-Sum'); res.write('sum'); await new Promise(setImmediate); res.write('med');
        res.addTrailers([['X-Sum', '6'], ['X-More', 'm']]); res.end();
      })
      .get('/${name}/hints', (req, res) => { res.writeEarlyHints({ link: '</a.css>; rel=preload', 'x-hint': 'h' }); res.writeProcessing(); res.send('x'); })
      .get('/${name}/route/:id', (req, res) => res.json(req.route.path))
      .get('/${name}/stale', (req, res) => {
        res.set({ Trailer: 'X-Sum', 'Content-Encoding': 'gzip', 'Content-Length': '3', Expires: '0', ETag: '"a"' });
        res.statusMessage = 'Quite Well';
        throw new Error('before the answer');
      })
      .get('/${name}/unsayable', (req, res) => { res.statusMessage = 'two\\nlines'; res.send('x'); })
      .get('/${name}/exit', () => process.exit(1))
      .get('/${name}/slow', (req, res) => { res.write('begun, '); slow = res; })
      .get('/${name}/go-on', (req, res) => { slow.end('ended'); res.send(''); })
      .get('/${name}/several/:id', (req, res, next) => next(), (req, res) => res.json(req.route.path));
    app.use(['/${other}/page', '/${other}/begun', '/${other}/slow', '/v1/chat/completions'], (req, res, next) => {
      if (req.get('x-by') === '${name}') watch(context, req, res);
      next();
    });
    app.use('/${other}/named', (req, res, next) => { res.set('X-Named', '1').set('x-Other', ['a', 'b']); next(); });
    app.use('/${other}/renamed', (req, res, next) => { res.statusMessage = 'Just Fine'; next(); });
    app.use('/${other}/spoilt', (req, res, next) => {
      if (req.get('x-by') === '${name}') res.statusMessage = 'two\\nlines';
      next();
    });
    app.get('/${name}/spoilt', (req, res) => res.send('whole'));
    app.get('/${name}/renamed', (req, res) => res.send(''));
    app.use('/${other}/kept', (req, res, next) => { req.user = { id: 1 }; req.body = {}; res.locals.theme = 'dark'; next(); });
    app.get('/${name}/kept', (req, res) => res.json([req.user ?? null, res.locals.theme ?? null]));
    app.get('/${name}/named', (req, res) => res.send(''));
    app.use('/${other}/late', (req, res, next) => {
      res.on('finish', () => undefined);
      next();
      context.logger.info('handed on', { of: req.originalUrl });
      res.send('mine');
    });
    app.get('/${name}/late', (req, res) => res.send('theirs'));
  },
};`;

const FILES = {
  'plugins/inline.mjs': plugin('inline', 'process'),
  'plugins/process.mjs': plugin('process', 'inline'),
};
const ENV = {
  ...WITH_ADMIN,
  LLMROUTER_PLUGINS_ISOLATION: 'process=process',
  LLMROUTER_PLUGINS_FAILURE_THRESHOLD: '1000',
};

const isClosed =
  (of: string, by = '') =>
  (line: LogLine): boolean =>
    line.message === 'closed' && line.of === of && line.by === by;

function open(gateway: GatewayProcess, path: string, options: object = {}): ClientRequest {
  const asked = request(`${gateway.url}${path}`, { agent: false, ...options });
  asked.on('error', () => undefined);
  return asked;
}

async function get(gateway: GatewayProcess, path: string, headers = {}): Promise<IncomingMessage> {
  const [answer] = (await once(open(gateway, path, { headers }).end(), 'response')) as [IncomingMessage];
  return answer;
}

test('what a handler is told of its request and its answer', async (t) => {
  const gateway = await startGateway(t, { files: FILES, env: ENV });
  for (const tier of ['inline', 'process'] as const) {
    const other = tier === 'inline' ? 'process' : 'inline';
    const closed = (path: string, by = ''): Promise<LogLine> => gateway.logged(isClosed(path, by));

    await t.test(`${tier}: both are closed after the answer`, async () => {
      await text(await get(gateway, `/${tier}/plain`));
      const { req, res, state } = await closed(`/${tier}/plain`);
      assert.deepEqual([req, res], ['end close', 'finish close']);
      assert.deepEqual(state, {
        statusCode: 200,
        statusMessage: 'OK',
        headersSent: true,
        writableFinished: true,
        gone: true,
        aborted: false,
        destroyed: true,
      });
    });

    for (const kind of ['unread', 'read'])
      await t.test(`${tier}: both are closed after the answer to a body that is ${kind}`, async () => {
        for (const length of [10, 300_000]) {
          const path = `/${tier}/${kind}?${length}`;
          const asked = open(gateway, path, { method: 'POST' }).end(Buffer.alloc(length, 'b'));
          const [answer] = (await once(asked, 'response')) as [IncomingMessage];
          assert.equal(await text(answer), 'x');
          const { req, res } = await closed(path);
          assert.deepEqual([length, req, res], [length, 'end close', 'finish close']);
        }
      });

    await t.test(`${tier}: a client that leaves before the answer`, async () => {
      const path = `/${tier}/silent`;
      const asked = open(gateway, path).end();
      await gateway.logged(({ message, of }) => message === 'waiting' && of === path);
      asked.destroy();
      const { req, res, state } = await closed(path);
      assert.deepEqual([req, res], ['aborted close', 'close']);
      assert.equal((state as { aborted: boolean }).aborted, true);
    });

    await t.test(`${tier}: a client that leaves amid the answer`, async () => {
      const answer = await get(gateway, `/${tier}/begun`);
      await once(answer, 'data');
      answer.destroy();
      const { req, res } = await closed(`/${tier}/begun`);
      assert.deepEqual([req, res], ['aborted close', 'close']);
    });

    await t.test(`${tier}: middleware hears the end of the answers of others`, async () => {
      await text(await get(gateway, `/${other}/page`, { 'x-by': tier }));
      const { req, res, state, page } = await closed(`/${other}/page`, tier);
      assert.deepEqual([req, res, page], ['end close', 'finish close', 'yes']);
      const { statusCode, headersSent, writableFinished } = state as Record<string, unknown>;
      assert.deepEqual([statusCode, headersSent, writableFinished], [203, true, true]);
    });

    for (const stream of [false, true])
      await t.test(
        `${tier}: middleware hears the end of the data plane's answers, stream: ${stream}`,
        async () => {
          const by = { 'x-by': tier };
          await (await chat(gateway, { headers: by, stream })).text();
          const path = '/v1/chat/completions';
          const all = (): readonly LogLine[] => gateway.log.filter(isClosed(path, tier));
          await gateway.logged(() => all().length > Number(stream));
          assert.equal(all().at(-1)?.res, 'finish close');
        },
      );

    await t.test(`${tier}: middleware hears that the client has left an answer of others`, async () => {
      const path = `/${other}/begun`;
      const answer = await get(gateway, path, { 'x-by': tier });
      await once(answer, 'data');
      answer.destroy();
      const { req, res, state } = await closed(path, tier);
      assert.deepEqual([req, res], ['aborted close', 'close']);
      assert.equal((state as { writableFinished: boolean }).writableFinished, false);
    });
  }
});

test('what a handler does to its answer', async (t) => {
  const gateway = await startGateway(t, { files: FILES, env: ENV });
  /** The failure that a request is to blame for, which the plugin is charged with after the answer. */
  const failureOf = ({ headers }: IncomingMessage): Promise<LogLine> =>
    gateway.logged(
      ({ event, requestId }) => event === 'plugin_failure' && requestId === headers['x-request-id'],
    );
  for (const tier of ['inline', 'process'] as const) {
    const other = tier === 'inline' ? 'process' : 'inline';

    await t.test(`${tier}: the first answer counts, and the second against the plugin`, async () => {
      for (const [path, expected] of [
        ['twice', 'first'],
        ['ended', 'whole'],
      ]) {
        const answer = await get(gateway, `/${tier}/${path}`);
        assert.deepEqual([answer.statusCode, await text(answer)], [200, expected]);
        assert.equal((await failureOf(answer)).plugin, tier);
      }
    });

    await t.test(`${tier}: trailers`, async () => {
      for (const [path, expected] of [
        ['trailers', { 'x-sum': '6' }],
        ['streamed-trailers', { 'x-sum': '6', 'x-more': 'm' }],
      ] as const) {
        const answer = await get(gateway, `/${tier}/${path}`);
        assert.equal(await text(answer), 'summed');
        assert.deepEqual({ ...answer.trailers }, expected);
      }
    });

    await t.test(`${tier}: what was said of an answer that failed is not said of the error`, async () => {
      for (const method of ['GET', 'HEAD']) {
        const asked = open(gateway, `/${tier}/stale`, { method }).end();
        const [answer] = (await once(asked, 'response')) as [IncomingMessage];
        assert.equal(answer.statusCode, 500);
        assert.equal(answer.statusMessage, 'Internal Server Error');
        const body = await text(answer);
        if (method === 'GET') assert.equal(JSON.parse(body).error.code, 'plugin_error');
        for (const name of ['trailer', 'content-encoding', 'expires', 'etag'])
          assert.equal(answer.headers[name], undefined, name);
        assert.notEqual(answer.headers['content-length'], '3');
      }
    });

    await t.test(`${tier}: interim answers`, async () => {
      const asked = open(gateway, `/${tier}/hints`);
      const hints: unknown[] = [];
      asked.on('information', ({ statusCode, headers }) => hints.push([statusCode, { ...headers }]));
      const [answer] = (await once(asked.end(), 'response')) as [IncomingMessage];
      assert.equal(await text(answer), 'x');
      assert.deepEqual(hints, [
        [103, { link: '</a.css>; rel=preload', 'x-hint': 'h' }],
        [102, {}],
      ]);
    });

    await t.test(`${tier}: a status message of middleware`, async () => {
      const { statusMessage } = await get(gateway, `/${other}/renamed`);
      assert.equal(statusMessage, 'Just Fine');
    });

    await t.test(`${tier}: an answer with a status message that HTTP does not allow fails`, async () => {
      const answer = await get(gateway, `/${tier}/unsayable`);
      assert.equal(answer.statusCode, 500);
      assert.equal(JSON.parse(await text(answer)).error.code, 'plugin_error');
      await failureOf(answer);
    });

    await t.test(`${tier}: the route that was found`, async () => {
      for (const kind of ['route', 'several']) {
        const answer = await get(gateway, `/${tier}/${kind}/7`);
        assert.equal(await text(answer), `"/${tier}/${kind}/:id"`);
      }
    });
  }

  await t.test("process: the names of headers on others' answers as they were written", async () => {
    const { rawHeaders } = await get(gateway, '/inline/named');
    assert.ok(rawHeaders.includes('X-Named'));
    assert.equal(rawHeaders.filter((name) => name === 'x-Other').length, 2);
  });

  await t.test('process: middleware with a status message that HTTP does not allow is left out', async () => {
    const answer = await get(gateway, '/inline/spoilt', { 'x-by': 'process' });
    assert.deepEqual([answer.statusMessage, await text(answer)], ['OK', 'whole']);
    assert.equal((await failureOf(answer)).plugin, 'process');
  });

  await t.test('process: a warning names each property that stays in its process, once', async () => {
    for (let i = 0; i < 3; i++)
      assert.equal(await text(await get(gateway, '/inline/kept')), JSON.stringify([null, null]));
    const isWarning = ({ level, plugin }: LogLine): boolean => level === 'warn' && plugin === 'process';
    await gateway.logged((line) => isWarning(line) && String(line.message).includes('res.locals.theme'));
    const warnings = gateway.log
      .filter(isWarning)
      .map(({ message }) => /sets (\S+) and/.exec(String(message))?.[1]);
    assert.deepEqual(warnings, ['req.user', 'res.locals.theme']);
  });

  await t.test('process: who has handed on and listens does not answer', async () => {
    const answer = await get(gateway, '/inline/late');
    assert.equal(await text(answer), 'theirs');
    const { plugin: blamed, error } = await failureOf(answer);
    assert.equal(blamed, 'process');
    assert.match((error as Error).message, /saw an answer of a handler that has handed on/);
  });

  await t.test('process: one that ends while it listens takes no answer with it', async () => {
    const answer = await get(gateway, '/inline/slow', { 'x-by': 'process' });
    const body = text(answer);
    assert.equal((await get(gateway, '/process/exit')).statusCode, 500);
    await text(await get(gateway, '/inline/go-on'));
    assert.equal(await body, 'begun, ended');
  });
});
