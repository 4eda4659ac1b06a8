import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import express, { type ErrorRequestHandler, type RequestHandler, Router } from 'express';
import { Containment } from '../../src/containment/containment.ts';
import type { RouteContribution } from '../../src/contributions.ts';
import { compileRoutes } from '../../src/pipeline/routes.ts';
import { ask, kinds, serve, signal } from '../containment/support.ts';
import {
  createGate,
  createMember,
  FAILURES,
  type MemberOptions,
  refusal,
  type TestMember,
} from './support.ts';

type Route = readonly [RouteContribution['method'], string, ...RequestHandler[]];

function routing(name: string, routes: readonly Route[], options?: MemberOptions): TestMember {
  return createMember(
    name,
    (bag) => {
      for (const [method, path, ...handlers] of routes) bag.routes.push({ method, path, handlers });
    },
    options,
  );
}

function listen(t: TestContext, ...members: TestMember[]): Promise<string> {
  const routes = compileRoutes(new Containment(), members);
  assert.ok(routes);
  return serve(t, routes);
}

const say =
  (text: string): RequestHandler =>
  (_req, res) =>
    void res.send(text);

describe('routes', () => {
  it('are null when no plugin has one', () => {
    assert.equal(
      compileRoutes(new Containment(), [createMember('a', () => undefined), createMember('b', null)]),
      null,
    );
  });

  it('answer their method and path, and leave the rest alone (Overview: register HTTP routes)', async (t) => {
    const url = await listen(
      t,
      routing('a', [
        ['get', '/x', say('get')],
        ['post', '/x', say('post')],
        ['all', '/y', say('all')],
      ]),
    );
    assert.equal(await ask(`${url}/x`), '200 get');
    assert.equal(await ask(`${url}/x`, { method: 'POST' }), '200 post');
    assert.equal(await ask(`${url}/x`, { method: 'DELETE' }), '404 not_found');
    assert.equal(await ask(`${url}/y`, { method: 'PATCH' }), '200 all');
    assert.equal(await ask(`${url}/x/below`), '404 not_found');
  });

  it('have parameters, wildcards and optional parts as in Express 5', async (t) => {
    const params: RequestHandler = (req, res) => void res.send(JSON.stringify(req.params));
    const url = await listen(
      t,
      routing('a', [
        ['get', '/u/:id', params, params],
        ['get', '/f/*rest', params],
        ['get', '/o{/:maybe}', params],
      ]),
    );
    assert.equal(await ask(`${url}/u/7%20a`), '200 {"id":"7 a"}');
    assert.equal(await ask(`${url}/f/a/b`), '200 {"rest":["a","b"]}');
    assert.equal(await ask(`${url}/o`), '200 {}');
    assert.equal(await ask(`${url}/o/x`), '200 {"maybe":"x"}');
  });

  it('run several handlers in turn', async (t) => {
    const mark: RequestHandler = (_req, res, next) => {
      res.locals.marked = 'marked';
      next();
    };
    const url = await listen(
      t,
      routing('a', [['get', '/x', mark, async (_req, res) => void res.send(res.locals.marked)]]),
    );
    assert.equal(await ask(`${url}/x`), '200 marked');
  });

  it('skip the rest of a route at next("route")', async (t) => {
    const skip: RequestHandler = (_req, _res, next) => next('route');
    const a = routing('a', [
      ['get', '/x', skip, say('skipped')],
      ['get', '/x', say('second')],
    ]);
    assert.equal(await ask(`${await listen(t, a)}/x`), '200 second');
    assert.deepEqual(a.owner.failures, []);
  });

  it('hand on to the gateway when none answers', async (t) => {
    const a = routing('a', [['get', '/x', (_req, _res, next) => next()]]);
    assert.equal(await ask(`${await listen(t, a)}/x`), '404 not_found');
    assert.deepEqual(a.owner.failures, []);
  });

  it('mount a router with everything below its path, its own error handler included', async (t) => {
    const router = Router();
    const onError: ErrorRequestHandler = (error: Error, _req, res, _next) =>
      void res.status(418).send(error.message);
    router.get('/hi/:name', (req, res) => void res.send(`${req.baseUrl} ${req.url} ${req.params.name}`));
    router.get('/bad', () => {
      throw new Error('handled inside');
    });
    router.use(onError);
    const a = routing('a', [['mount', '/r', router]]);
    const url = await listen(t, a);
    assert.equal(await ask(`${url}/r/hi/you`), '200 /r /hi/you you');
    assert.equal(await ask(`${url}/r/bad`), '418 handled inside');
    assert.equal(await ask(`${url}/r/none`), '404 not_found');
    assert.equal(await ask(`${url}/rest`), '404 not_found');
    assert.deepEqual(a.owner.failures, []);
  });

  it('mount a whole Express application', async (t) => {
    const app = express();
    app.get('/hi', say('from the app'));
    assert.equal(
      await ask(`${await listen(t, routing('a', [['mount', '/app', app]]))}/app/hi`),
      '200 from the app',
    );
  });

  it('follow load order', async (t) => {
    const url = await listen(
      t,
      routing('a', [['get', '/x', say('a')]]),
      routing('b', [['get', '/x', say('b')]]),
    );
    assert.equal(await ask(`${url}/x`), '200 a');
  });

  it('answer HEAD and OPTIONS as Express does', async (t) => {
    const url = await listen(t, routing('a', [['get', '/x', say('body')]]));
    assert.equal(await ask(`${url}/x`, { method: 'HEAD' }), '200 ');
    const options = await fetch(`${url}/x`, { method: 'OPTIONS' });
    assert.deepEqual([options.status, options.headers.get('allow')], [200, 'GET, HEAD']);
  });

  for (const [how, fail, kind] of FAILURES) {
    it(`that ${how}: the client gets ${kind === 'timeout' ? '504 plugin_timeout' : '500 plugin_error'}`, async (t) => {
      const bad = routing(
        'bad',
        [
          ['get', '/x', fail],
          ['get', '/y', say('not reached'), say('y')],
        ],
        { callTimeoutMs: 20 },
      );
      const good = routing('good', [
        ['get', '/x', say('never in its place')],
        ['get', '/z', say('z')],
      ]);
      const url = await listen(t, bad, good);
      assert.equal(await ask(`${url}/x`), kind === 'timeout' ? '504 plugin_timeout' : '500 plugin_error');
      assert.equal(await ask(`${url}/z`), '200 z');
      assert.deepEqual([kinds(bad.owner), kinds(good.owner)], [[`route ${kind}`], []]);
    });

    it(`one of whose handlers ${how} is blamed once`, async (t) => {
      const pass: RequestHandler = (_req, _res, next) => next();
      const bad = routing('bad', [['get', '/x', pass, fail, say('never')]], { callTimeoutMs: 20 });
      assert.match(await ask(`${await listen(t, bad)}/x`), /^50[04] plugin_/);
      assert.deepEqual(kinds(bad.owner), [`route ${kind}`]);
    });
  }

  it('that throw a 4xx have answered with it', async (t) => {
    const a = routing('a', [
      [
        'get',
        '/x',
        () => {
          throw refusal(404);
        },
      ],
      [
        'get',
        '/y',
        (_req, _res, next) => next(),
        async () => {
          throw refusal(409);
        },
      ],
    ]);
    const url = await listen(t, a);
    assert.equal(await ask(`${url}/x`), '404 not_found');
    assert.equal(await ask(`${url}/y`), '409 conflict');
    assert.deepEqual(a.owner.failures, []);
  });
});

describe('routes of a quarantined plugin', () => {
  it('answer 503 plugin_quarantined with Retry-After, and call nothing', async (t) => {
    const router = Router().get('/in', () => assert.fail('called'));
    const a = routing(
      'a',
      [
        ['get', '/x/:id', () => assert.fail('called')],
        ['mount', '/m', router],
      ],
      { gate: createGate(false) },
    );
    const url = await listen(t, a);
    for (const path of ['/x/7', '/m/in', '/m/anything']) {
      const response = await fetch(url + path);
      assert.equal(response.status, 503);
      assert.equal(response.headers.get('retry-after'), '7');
      assert.match(await response.text(), /"plugin_quarantined"/);
    }
    assert.equal(await ask(`${url}/elsewhere`), '404 not_found');
    assert.equal(a.owner.counters('route').calls, 0);
  });

  for (const [how, handler, succeeded, answer] of [
    ['answers', say('fine'), true, '200 fine'],
    ['hands on', (_req, _res, next) => next(), true, '404 not_found'],
    [
      'throws a 4xx',
      () => {
        throw refusal(403);
      },
      true,
      '403 permission_error',
    ],
    [
      'throws',
      () => {
        throw new Error('x');
      },
      false,
      '500 plugin_error',
    ],
    ['hangs', () => undefined, false, '504 plugin_timeout'],
  ] satisfies [string, RequestHandler, boolean, string][]) {
    it(`are tried when a trial is due: a handler that ${how} has ${succeeded ? 'passed' : 'failed'}`, async (t) => {
      const trial = signal<boolean | null>();
      const gate = { ...createGate(true), end: trial.resolve };
      const a = routing('a', [['get', '/x', handler]], { gate, callTimeoutMs: 20 });
      assert.equal(await ask(`${await listen(t, a)}/x`), answer);
      assert.equal(await trial.done, succeeded);
    });
  }
});

describe('routes of a plugin that did not start', () => {
  it('are not there', () => {
    assert.equal(
      compileRoutes(new Containment(), [createMember('a', null, { guards: { requests: true } })]),
      null,
    );
  });
});
