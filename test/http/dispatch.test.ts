import assert from 'node:assert/strict';
import { test } from 'node:test';
import compression from 'compression';
import cors from 'cors';
import express, { type RequestHandler } from 'express';
import { GatewayError } from '../../src/errors.ts';
import type { Pipeline } from '../../src/pipeline/types.ts';
import type { AuthRequest, Identity } from '../../src/plugin-api/auth.ts';
import { sendJson } from '../../src/wire/error-response.ts';
import { GatewayRequest, GatewayResponse } from '../../src/wire/message.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import { type Running, recordingLog, send, start, WHO_AM_I } from './support.ts';

const CHAT = '/v1/chat/completions';
const auth: NonNullable<Pipeline['auth']> = async (request) => {
  if (request.get('Authorization') !== 'Bearer k') throw new GatewayError('authentication_error', 'who?');
  return { id: 'team', limits: { rpm: 1 } };
};
const hello: RequestHandler = (req, res, next) => {
  if (req.path === '/hello') res.json({ identity: 'identity' in req ? req.identity : undefined });
  else next();
};
const KEY = { headers: { authorization: 'Bearer k' } };
const PREFLIGHT = { origin: 'https://app.test', 'access-control-request-method': 'GET' };

test('without auth providers every request is anonymous', async (t) => {
  const running = await start(t, { dataPlane: WHO_AM_I, pipeline: () => emptyPipeline({ routes: hello }) });
  assert.deepEqual((await send(running, 'POST', CHAT)).json(), { identity: null, url: CHAT });
  assert.deepEqual((await send(running, 'GET', '/hello')).json(), { identity: null });
});

test('data plane and routes see the identity, and nobody else gets in', async (t) => {
  const running = await start(t, {
    dataPlane: WHO_AM_I,
    pipeline: () => emptyPipeline({ auth, routes: hello }),
  });
  const identity = { id: 'team', limits: { rpm: 1 } };
  assert.deepEqual((await send(running, 'POST', CHAT, KEY)).json(), { identity, url: CHAT });
  assert.deepEqual((await send(running, 'GET', '/hello', KEY)).json(), { identity });
  for (const path of [CHAT, '/hello', '/nowhere', '/Admin-not', '//admin']) {
    const answer = await send(running, 'GET', path);
    assert.equal(answer.status, 401, path);
    assert.equal(answer.headers['www-authenticate'], 'Bearer');
  }
});

test('an identity is frozen with everything in it', async (t) => {
  let seen: Identity | null = null;
  const running = await start(t, {
    pipeline: () =>
      emptyPipeline({
        auth,
        routes: (req, res) => {
          seen = (req as unknown as GatewayRequest).identity;
          res.end();
        },
      }),
  });
  await send(running, 'GET', '/', KEY);
  assert.ok(Object.isFrozen(seen));
  assert.ok(Object.isFrozen((seen as unknown as { limits: object }).limits));
});

test('an auth phase that fails lets nobody in', async (t) => {
  const cases: [name: string, auth: () => Promise<unknown>, status: number, code: string][] = [
    [
      'a 401',
      async () => Promise.reject(new GatewayError('authentication_error', 'no')),
      401,
      'authentication_error',
    ],
    [
      'a 403',
      async () => Promise.reject(new GatewayError('permission_error', 'no')),
      403,
      'permission_error',
    ],
    [
      'an error with a 4xx status',
      async () => Promise.reject(Object.assign(new Error('slow'), { status: 429 })),
      429,
      'rate_limit_exceeded',
    ],
    [
      'auth_unavailable',
      async () => Promise.reject(new GatewayError('auth_unavailable', 'no')),
      503,
      'auth_unavailable',
    ],
    [
      'another gateway error',
      async () => Promise.reject(new GatewayError('plugin_timeout', 'no')),
      503,
      'auth_unavailable',
    ],
    ['an unknown error', async () => Promise.reject(new Error('secret')), 503, 'auth_unavailable'],
    ['undefined thrown', async () => Promise.reject(), 503, 'auth_unavailable'],
    [
      'a synchronous throw',
      () => {
        throw new Error('secret');
      },
      503,
      'auth_unavailable',
    ],
    ['null', async () => null, 503, 'auth_unavailable'],
    ['undefined', async () => undefined, 503, 'auth_unavailable'],
    ['true', async () => true, 503, 'auth_unavailable'],
  ];
  for (const [name, phase, status, code] of cases) {
    await t.test(`${name}: ${status}`, async () => {
      const running = await start(t, {
        dataPlane: WHO_AM_I,
        pipeline: () => emptyPipeline({ auth: phase as NonNullable<Pipeline['auth']> }),
      });
      const answer = await send(running, 'POST', CHAT);
      assert.equal(answer.status, status);
      assert.equal(answer.error().code, code);
      assert.doesNotMatch(answer.text, /secret/);
    });
  }
});

test('an auth provider sees a frozen view of the request', async (t) => {
  let seen: AuthRequest | undefined;
  const running = await start(t, {
    pipeline: () =>
      emptyPipeline({
        auth: async (request) => {
          seen = request;
          return { id: 'team' };
        },
      }),
  });
  await send(running, 'GET', '/a/b?c=d', { headers: { 'X-Key': 'v', 'x-request-id': 'r1' } });
  assert.ok(seen !== undefined && Object.isFrozen(seen) && Object.isFrozen(seen.headers));
  const { id, method, path, url, ip } = seen;
  assert.deepEqual(
    { id, method, path, url, ip },
    { id: 'r1', method: 'GET', path: '/a/b', url: '/a/b?c=d', ip: '127.0.0.1' },
  );
  assert.equal(seen.get('X-KEY'), 'v');
  assert.equal(seen.headers['x-key'], 'v');
  assert.equal(seen.get('constructor'), undefined);
  assert.equal(seen.headers.constructor, undefined);
});

test('no handler can change who a request comes from', async (t) => {
  const running = await start(t, {
    dataPlane: WHO_AM_I,
    pipeline: () =>
      emptyPipeline({
        auth: async () => ({ id: 'team' }),
        middleware: (req, _res, next) => {
          assert.throws(() => Object.assign(req, { identity: { id: 'root' } }), TypeError);
          next();
        },
      }),
  });
  const answer = await send(running, 'POST', CHAT);
  assert.deepEqual(JSON.parse(answer.text).identity, { id: 'team' });
});

test('middleware runs after authentication and before the data plane, whose path it may change', async (t) => {
  const running = await start(t, {
    dataPlane: WHO_AM_I,
    pipeline: () =>
      emptyPipeline({
        auth,
        middleware: (req, res, next) => {
          res.set('x-middleware', String('identity' in req && req.identity !== null));
          req.url = req.url.replace(/^\/openai/, '');
          next();
        },
      }),
  });
  const answer = await send(running, 'POST', `/openai${CHAT}`, KEY);
  assert.equal(answer.headers['x-middleware'], 'true');
  assert.deepEqual(answer.json(), { identity: { id: 'team', limits: { rpm: 1 } }, url: CHAT });
  const refused = await send(running, 'POST', `/openai${CHAT}`);
  assert.equal(refused.status, 401);
  assert.equal(refused.headers['x-middleware'], undefined);
});

test('a middleware that answers ends the request, also when it calls next as well', async (t) => {
  const running = await start(t, {
    dataPlane: { find: () => () => assert.fail('must not be called') },
    pipeline: () =>
      emptyPipeline({
        middleware: (req, res, next) => {
          res.status(402).json({});
          if (req.path === '/both') next();
        },
      }),
  });
  assert.equal((await send(running, 'GET', '/only')).status, 402);
  assert.equal((await send(running, 'GET', '/both')).status, 402);
  assert.deepEqual(running.logged, []);
});

test('cors answers preflights without credentials and marks the answers to others', async (t) => {
  const running = await start(t, {
    dataPlane: WHO_AM_I,
    pipeline: () => emptyPipeline({ auth, middleware: cors({ origin: 'https://app.test' }) }),
  });
  const preflight = await send(running, 'OPTIONS', CHAT, { headers: PREFLIGHT });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers['access-control-allow-origin'], 'https://app.test');
  const answer = await send(running, 'POST', CHAT, {
    headers: { ...KEY.headers, origin: 'https://app.test' },
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['access-control-allow-origin'], 'https://app.test');
});

test('a preflight that no middleware answers never reaches a guarded route', async (t) => {
  const reached: string[] = [];
  const middlewares: (RequestHandler | null)[] = [
    null,
    (_req, _res, next) => next(),
    (req, _res, next) => {
      req.method = 'GET';
      next();
    },
  ];
  for (const middleware of middlewares) {
    const running = await start(t, {
      pipeline: () =>
        emptyPipeline({
          auth,
          middleware,
          routes: (req, res) => {
            reached.push(req.path);
            res.end();
          },
        }),
    });
    assert.equal((await send(running, 'OPTIONS', '/hello', { headers: PREFLIGHT })).status, 401);
    assert.deepEqual(reached, []);
    const { status } = await send(running, 'OPTIONS', '/hello', {
      headers: { ...PREFLIGHT, ...KEY.headers },
    });
    assert.equal(status, 200);
    reached.length = 0;
  }
});

test('a preflight below /admin needs the key', async (t) => {
  const running = await start(t, {
    pipeline: () => emptyPipeline({ routes: (_req, res) => void res.end() }),
  });
  assert.equal((await send(running, 'OPTIONS', '/admin/base/x', { headers: PREFLIGHT })).status, 401);
});

test('compression works on answers of the data plane and on errors', async (t) => {
  const running = await start(t, {
    dataPlane: {
      find: (_method, path) =>
        path === '/big' ? async (_req, res) => sendJson(res, 200, 'x'.repeat(5_000)) : null,
    },
    pipeline: () => emptyPipeline({ middleware: compression({ threshold: 0 }) }),
  });
  const big = await fetch(`${running.url}/big`);
  assert.equal(big.headers.get('content-encoding'), 'gzip');
  assert.equal(((await big.json()) as string).length, 5_000);
  const missing = await fetch(`${running.url}/nowhere`);
  assert.equal(missing.status, 404);
  assert.equal(((await missing.json()) as { error: { code: string } }).error.code, 'not_found');
});

test('Express finds its own prototypes on every request and changes none', async (t) => {
  const prototypes = new Set<unknown>();
  const note = (req: object, res: object): void => {
    prototypes.add(Object.getPrototypeOf(req));
    prototypes.add(Object.getPrototypeOf(res));
    assert.ok(req instanceof GatewayRequest && res instanceof GatewayResponse);
  };
  const mounted = express();
  mounted.get('/sub', (req, res) => void res.send(req.baseUrl));
  const router = express.Router();
  router.use('/mounted', mounted);
  router.get('/x/:id', (req, res) => {
    note(req, res);
    assert.equal(req.get('X-A'), 'a');
    assert.equal(req.app.get('trust proxy'), false);
    // What `app.handle` would set.
    assert.equal((req.app as unknown as { request: object }).request, Object.getPrototypeOf(req));
    assert.deepEqual(
      [req.query.q, req.params.id, req.protocol, req.originalUrl],
      ['1', '%', 'http', '/x/%25?q=1'],
    );
    res.locals.a = 1;
    res.status(201).json(res.locals);
  });
  const running = await start(t, {
    dataPlane: {
      find: (_method, path) =>
        path === '/data'
          ? async (req, res) => {
              note(req, res);
              res.end();
            }
          : null,
    },
    pipeline: () =>
      emptyPipeline({
        middleware: (req, res, next) => {
          note(req, res);
          next();
        },
        routes: router,
      }),
  });
  await send(running, 'GET', '/data');
  const answer = await send(running, 'GET', '/x/%25?q=1', { headers: { 'x-a': 'a' } });
  assert.equal(answer.status, 201);
  assert.deepEqual(answer.json(), { a: 1 });
  assert.equal((await send(running, 'GET', '/mounted/sub')).text, '/mounted');
  assert.equal(prototypes.size, 2);
});

test('two servers of one process do not share their application', async (t) => {
  const apps: unknown[] = [];
  const routes: RequestHandler = (req, res) => {
    apps.push(req.app, res.app);
    res.end();
  };
  const [a, b] = await Promise.all([0, 1].map(() => start(t, { pipeline: () => emptyPipeline({ routes }) })));
  await send(a as Running, 'GET', '/');
  await send(b as Running, 'GET', '/');
  assert.equal(new Set(apps).size, 2);
});

test('a path that nobody serves answers 404 in OpenAI shape', async (t) => {
  const running = await start(t, { pipeline: () => emptyPipeline({ routes: hello }) });
  const answer = await send(running, 'GET', '/nowhere?key=secret');
  assert.equal(answer.status, 404);
  assert.deepEqual(answer.json(), {
    error: {
      message: 'No route for GET /nowhere',
      type: 'invalid_request_error',
      param: null,
      code: 'not_found',
    },
  });
});

test('errors answer with their status, and what is unknown stays in the log', async (t) => {
  const boom = Object.assign(new Error('the password is hunter2'), { status: 500 });
  const cases: [thrown: unknown, status: number, code: string][] = [
    [new GatewayError('plugin_error', 'Plugin "x" failed'), 500, 'plugin_error'],
    [Object.assign(new Error('bad field'), { status: 422 }), 422, 'invalid_request'],
    [Object.assign(new Error('hidden'), { statusCode: 404, expose: false }), 404, 'not_found'],
    [boom, 500, 'internal_error'],
    ['a string', 500, 'internal_error'],
    [null, 404, 'not_found'],
  ];
  for (const [thrown, status, code] of cases) {
    for (const handler of [
      (_req, _res, next) => next(thrown),
      async () => Promise.reject(thrown ?? new GatewayError('not_found', 'x')),
      () => {
        throw thrown ?? new GatewayError('not_found', 'x');
      },
    ] as RequestHandler[]) {
      const running = await start(t, { pipeline: () => emptyPipeline({ routes: handler }) });
      const answer = await send(running, 'GET', '/');
      assert.equal(answer.status, status);
      assert.equal(answer.error().code, code);
      assert.doesNotMatch(answer.text, /hunter2|hidden|\.ts/);
      assert.equal(running.logged.length, code === 'internal_error' ? 1 : 0);
    }
  }
});

test('a stack reaches the log in debug mode only, and a client never', async (t) => {
  for (const debug of [false, true]) {
    const running = await start(t, {
      debug,
      pipeline: () =>
        emptyPipeline({
          routes: () => {
            throw new Error('boom');
          },
        }),
    });
    const answer = await send(running, 'GET', '/', { headers: { 'x-request-id': 'r1' } });
    assert.doesNotMatch(answer.text, /boom|at /);
    const [entry] = running.logged;
    assert.equal(entry?.requestId, 'r1');
    assert.equal(entry?.cause, 'boom');
    assert.equal(typeof entry?.stack, debug ? 'string' : 'undefined');
  }
});

test('/v1/messages errs in Anthropic shape, also when a middleware has moved the request', async (t) => {
  const running = await start(t, {
    pipeline: () =>
      emptyPipeline({
        auth,
        middleware: (req, _res, next) => {
          req.url = '/elsewhere';
          next();
        },
      }),
  });
  const unauthenticated = await send(running, 'POST', '/v1/messages');
  assert.deepEqual(unauthenticated.json(), {
    type: 'error',
    error: { type: 'authentication_error', message: 'who?', code: 'authentication_error' },
    request_id: unauthenticated.headers['x-request-id'],
  });
  const missing = (await send(running, 'POST', '/v1/messages?beta=true', KEY)).json() as {
    error: { type: string };
  };
  assert.equal(missing.error.type, 'not_found_error');
  assert.equal((await send(running, 'POST', '/v1/messages-else', KEY)).error().code, 'not_found');
});

test('an answer that breaks off after its head is cut, not completed', async (t) => {
  const running = await start(t, {
    dataPlane: {
      find: () => async (_req, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        res.write('data: 1\n\n');
        throw new GatewayError('upstream_error', 'gone');
      },
    },
  });
  await assert.rejects(async () => (await fetch(running.url)).text());
});

test('an error after a complete answer leaves it as it is', async (t) => {
  const running = await start(t, {
    pipeline: () =>
      emptyPipeline({
        routes: (_req, res) => {
          res.json({ ok: 1 });
          throw new Error('late');
        },
      }),
  });
  assert.deepEqual((await send(running, 'GET', '/')).json(), { ok: 1 });
});

test('what a failed handler has said about its body is not said of the error', async (t) => {
  const running = await start(t, {
    pipeline: () =>
      emptyPipeline({
        routes: (_req, res) => {
          res.set({
            'content-encoding': 'br',
            etag: '"x"',
            'cache-control': 'public',
            'content-length': '9',
            'x-other': 'kept',
          });
          throw new Error('boom');
        },
      }),
  });
  const { headers } = await send(running, 'GET', '/');
  for (const name of ['content-encoding', 'etag', 'cache-control'])
    assert.equal(headers[name], undefined, name);
  assert.equal(headers['x-other'], 'kept');
});

test('a request runs through the generation that was current when it came', async (t) => {
  let generation = 1;
  let swap = (): void => {};
  const running = await start(t, {
    pipeline: () => {
      const at = generation;
      return emptyPipeline({
        auth: async () => {
          swap();
          return { id: 'team' };
        },
        routes: (_req, res) => void res.json(at),
      });
    },
  });
  swap = () => {
    generation = 2;
  };
  assert.equal((await send(running, 'GET', '/')).json(), 1);
  assert.equal((await send(running, 'GET', '/')).json(), 2);
});

test('a body larger than the limit answers 413, announced or not', async (t) => {
  const router = express.Router();
  router.post('/echo', express.text({ limit: '1mb' }), (req, res) => void res.send(String(req.body.length)));
  const running = await start(t, {
    server: { host: '127.0.0.1', port: 0, bodyLimit: 100_000, drainTimeoutMs: 1, workers: 1 },
    pipeline: () => emptyPipeline({ routes: router }),
  });
  const post = async (size: number, chunked: boolean): Promise<Response> => {
    const body = 'x'.repeat(size);
    const stream = new Blob([body]).stream();
    return fetch(`${running.url}/echo`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain' },
      body: chunked ? stream : body,
      duplex: 'half',
    } as RequestInit);
  };
  for (const chunked of [false, true]) {
    assert.equal((await post(100_000, chunked)).status, 200, `chunked: ${chunked}`);
    const refused = await post(300_000, chunked);
    assert.equal(refused.status, 413, `chunked: ${chunked}`);
    assert.equal(((await refused.json()) as { error: { code: string } }).error.code, 'body_too_large');
  }
});

test('an answer of the data plane tells of its call, also when none was made', async (t) => {
  const middleware: RequestHandler = (req, res, next) => {
    if (req.get('x-busy') === undefined) req.resume().once('end', next);
    else res.status(429).end();
  };
  const running = await start(t, {
    dataPlane: WHO_AM_I,
    pipeline: () => emptyPipeline({ auth, middleware }),
  });
  const { authorization } = KEY.headers;
  const cases: [string, number, Record<string, string>, string][] = [
    ['nobody known', 401, {}, ''],
    ['answered by a middleware', 429, { authorization, 'x-busy': '1' }, ''],
    ['too large, announced', 413, { authorization }, 'x'.repeat(70_000)],
    ['too large, in chunks', 413, { authorization, 'transfer-encoding': 'chunked' }, 'x'.repeat(70_000)],
    ['an expectation that is not met', 417, { expect: 'tea' }, ''],
  ];
  for (const [name, status, headers, body] of cases) {
    await t.test(name, async () => {
      const answer = await send(running, 'POST', CHAT, { headers, body });
      assert.equal(answer.status, status);
      assert.equal(answer.headers['x-llmrouter-deployment'], 'none');
      assert.equal(answer.headers['x-llmrouter-attempts'], '0');
      assert.match(String(answer.headers['x-llmrouter-overhead-ms']), /^\d{1,4}(\.\d{1,3})?$/);
    });
  }
  await t.test('another path says nothing of calls', async () => {
    const { headers } = await send(running, 'GET', '/other');
    assert.deepEqual(
      Object.keys(headers).filter((field) => field.startsWith('x-llmrouter')),
      [],
    );
  });
});

test('whoever reads a body that grew too large sees it break off, not end', async (t) => {
  const { promise: outcome, resolve } = Promise.withResolvers<'ended' | 'broke off'>();
  const routes: RequestHandler = (req) => {
    req.resume();
    req.once('end', () => resolve('ended'));
    req.once('error', () => resolve('broke off'));
  };
  const running = await start(t, { pipeline: () => emptyPipeline({ routes }) });
  const body = new Blob(['x'.repeat(200_000)]).stream();
  const { status } = await fetch(running.url, { method: 'POST', body, duplex: 'half' } as RequestInit);
  assert.equal(status, 413);
  assert.equal(await outcome, 'broke off');
});

test('requests are logged at the level http, without query and headers', async (t) => {
  const { log, logged } = recordingLog('http');
  const running = await start(t, { log });
  const headers = { authorization: 'Bearer secret', 'x-request-id': 'r1' };
  await send(running, 'GET', '/nowhere?key=secret', { headers });
  // The line is written when the answer is out: by the time of a second answer it is there.
  await send(running, 'GET', '/healthz');
  const [first] = logged;
  assert.equal(typeof first?.durationMs, 'number');
  assert.deepEqual(JSON.parse(JSON.stringify({ ...first, durationMs: 0 })), {
    level: 'http',
    message: 'request',
    requestId: 'r1',
    method: 'GET',
    path: '/nowhere',
    status: 404,
    complete: true,
    surface: 'routes',
    durationMs: 0,
    ip: '127.0.0.1',
  });
  assert.doesNotMatch(JSON.stringify(logged), /secret/);
});

test('at the default level nothing is logged per request', async (t) => {
  const running = await start(t);
  await send(running, 'GET', '/healthz');
  await send(running, 'GET', '/nowhere');
  assert.deepEqual(running.logged, []);
});
