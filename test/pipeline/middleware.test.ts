import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import express, { type RequestHandler } from 'express';
import { Containment } from '../../src/containment/containment.ts';
import { compileMiddleware } from '../../src/pipeline/middleware.ts';
import { ask, kinds, serve, signal } from '../containment/support.ts';
import {
  createGate,
  createMember,
  FAILURES,
  type MemberOptions,
  refusal,
  type TestMember,
} from './support.ts';

type Entry = RequestHandler | readonly [string | readonly string[], RequestHandler];

function using(name: string, entries: readonly Entry[], options?: MemberOptions): TestMember {
  return createMember(
    name,
    (bag) => {
      for (const entry of entries) {
        const [path, handler] = typeof entry === 'function' ? [null, entry] : entry;
        bag.middleware.push({ path, handler });
      }
    },
    options,
  );
}

/** Leaves a mark on the way. */
const mark =
  (name: string): RequestHandler =>
  (_req, res, next) => {
    res.locals.marks = [...(res.locals.marks ?? []), name];
    next();
  };

/** A server that answers with the marks that the middleware left. */
function listen(t: TestContext, ...members: TestMember[]): Promise<string> {
  const middleware = compileMiddleware(new Containment(), members)?.handle;
  assert.ok(middleware);
  return serve(t, middleware, (_req, res) => void res.send((res.locals.marks ?? []).join(' ')));
}

describe('middleware', () => {
  it('is null when no plugin has any', () => {
    assert.equal(
      compileMiddleware(new Containment(), [createMember('a', () => undefined), createMember('b', null)]),
      null,
    );
  });

  it('runs in load order, within a plugin in the order of registration (Overview: add middleware)', async (t) => {
    const url = await listen(t, using('a', [mark('a1'), mark('a2')]), using('b', [mark('b')]));
    assert.equal(await ask(url), '200 a1 a2 b');
  });

  it('with a path runs at and below it only, and sees the url without it', async (t) => {
    const seen: string[] = [];
    const look: RequestHandler = (req, _res, next) => {
      seen.push(`${req.baseUrl} ${req.url}`);
      next();
    };
    const url = await listen(
      t,
      using('a', [
        ['/x', look],
        [['/y', '/z/:id'], mark('either')],
      ]),
    );
    assert.deepEqual(
      [
        await ask(`${url}/x/in?q=1`),
        await ask(`${url}/y`),
        await ask(`${url}/z/7/in`),
        await ask(`${url}/xy`),
      ],
      ['200 ', '200 either', '200 either', '200 '],
    );
    assert.deepEqual(seen, ['/x /in?q=1']);
  });

  it('with a path runs where Express would run it, and nowhere else', async (t) => {
    const paths = [
      '/',
      '/a',
      '/A/b/',
      '/users/:id',
      '/files/*rest',
      '/x{/y}',
      '/a-b.c',
      ['/m', '/n/:q'],
      '/é',
    ];
    const ours = await listen(
      t,
      using(
        'a',
        paths.map((path, at) => [path, mark(`${at}`)] as const),
      ),
    );
    const router = express.Router();
    for (const [at, path] of paths.entries()) router.use(path as string, mark(`${at}`));
    const theirs = await serve(t, router, (_req, res) => void res.send((res.locals.marks ?? []).join(' ')));
    const targets = [
      '',
      'a',
      'A',
      'a/',
      'ab',
      'a/b',
      'A/B/c',
      'a?b',
      'users',
      'users/',
      'USERS/7/x',
      'files',
      'files/1',
    ].concat([
      'x',
      'x/y',
      'xy',
      'a-b.c',
      'a-bxc',
      'm',
      'M/1',
      'n',
      'n/1',
      'N/1/2',
      '%61',
      '%C3%A9',
      '/a',
      '//a/b',
    ]);
    for (const target of targets) {
      assert.equal(await ask(`${ours}/${target}`), await ask(`${theirs}/${target}`), target);
    }
  });

  it('gives later ones the url as it was', async (t) => {
    let seen = '';
    const look: RequestHandler = (req, _res, next) => {
      seen = `${req.baseUrl}|${req.url}`;
      next();
    };
    const url = await listen(t, using('a', [['/x', mark('a')]]), using('b', [look]));
    await ask(`${url}/x/in`);
    assert.equal(seen, '|/x/in');
  });

  it('may answer; the rest does not run then', async (t) => {
    const url = await listen(
      t,
      using('a', [(_req, res) => void res.send('mine')]),
      using('b', [() => assert.fail('called')]),
    );
    assert.equal(await ask(url), '200 mine');
  });

  it('may refuse with a 4xx, also when it fails closed', async (t) => {
    const refuses: RequestHandler = () => {
      throw refusal(429);
    };
    for (const failClosed of [false, true]) {
      const a = using('a', [refuses], { failClosed });
      assert.equal(
        await ask(await listen(t, a, using('b', [() => assert.fail('called')]))),
        '429 rate_limit_exceeded',
      );
      assert.deepEqual(a.owner.failures, []);
    }
  });

  it('that hands on twice moves the request on once', async (t) => {
    let runs = 0;
    const twice: RequestHandler = (_req, _res, next) => {
      next();
      next();
    };
    const count: RequestHandler = (_req, _res, next) => {
      runs++;
      next();
    };
    const a = using('a', [twice]);
    assert.equal(await ask(await listen(t, a, using('b', [count]))), '200 ');
    assert.equal(runs, 1);
    assert.deepEqual(kinds(a.owner), ['middleware protocol']);
  });

  for (const [how, fail, kind] of FAILURES) {
    it(`that ${how} is skipped and counted`, async (t) => {
      const bad = using('bad', [fail, mark('bad')], { callTimeoutMs: 20 });
      assert.equal(
        await ask(await listen(t, using('a', [mark('a')]), bad, using('b', [mark('b')]))),
        '200 a bad b',
      );
      assert.deepEqual(kinds(bad.owner), [`middleware ${kind}`]);
    });

    it(`that ${how} answers 503 when the plugin fails closed`, async (t) => {
      const bad = using('bad', [fail], { callTimeoutMs: 20, failClosed: true });
      const after = using('b', [() => assert.fail('called')]);
      assert.equal(
        await ask(await listen(t, bad, after)),
        `503 ${kind === 'timeout' ? 'plugin_timeout' : 'plugin_error'}`,
      );
    });
  }

  it('that hands on after its deadline moves nothing any more', async (t) => {
    const late = signal();
    let runs = 0;
    const slow: RequestHandler = (_req, _res, next) => void late.done.then(() => next());
    const count: RequestHandler = (_req, _res, next) => {
      runs++;
      next();
    };
    const a = using('a', [slow], { callTimeoutMs: 10 });
    assert.equal(await ask(await listen(t, a, using('b', [count]))), '200 ');
    late.resolve();
    await late.done;
    assert.equal(runs, 1);
    assert.deepEqual(kinds(a.owner), ['middleware timeout']);
  });

  it('of a quarantined plugin is skipped; of one that fails closed it answers 503', async (t) => {
    const never: RequestHandler = () => assert.fail('called');
    const gate = createGate(false);
    assert.equal(
      await ask(await listen(t, using('a', [never, ['/', never]], { gate }), using('b', [mark('b')]))),
      '200 b',
    );
    assert.equal(
      await ask(await listen(t, using('a', [never], { gate, failClosed: true }))),
      '503 plugin_quarantined',
    );
  });

  for (const [how, handler, succeeded] of [
    ['hands on', mark('a'), true],
    ['answers', (_req, res) => void res.end(), true],
    [
      'throws',
      () => {
        throw new Error('x');
      },
      false,
    ],
    ['hangs', () => undefined, false],
  ] satisfies [string, RequestHandler, boolean][]) {
    it(`of a quarantined plugin is tried when a trial is due: one that ${how} has ${succeeded ? 'passed' : 'failed'}`, async (t) => {
      const trial = signal<boolean | null>();
      const gate = { ...createGate(true), end: trial.resolve };
      await ask(await listen(t, using('a', [handler], { gate, callTimeoutMs: 20 })));
      assert.equal(await trial.done, succeeded);
    });
  }

  it('of a plugin that fails closed and did not start is 503 for everything', async (t) => {
    const missing = createMember('missing', null, { guards: { requests: true }, failClosed: true });
    assert.equal(
      await ask(await listen(t, missing, using('b', [() => assert.fail('called')]))),
      '503 plugin_error',
    );
  });
});
