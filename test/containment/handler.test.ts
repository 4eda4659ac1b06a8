import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, it, type TestContext } from 'node:test';
import type { Request, RequestHandler, Response } from 'express';
import { Containment } from '../../src/containment/containment.ts';
import { containHandler, type HandlerSite } from '../../src/containment/handler.ts';
import { RequestScope } from '../../src/request-scope.ts';
import { sendError } from '../../src/wire/error-response.ts';
import { ask, createOwner, kinds, type RecordingOwner, serve, signal } from './support.ts';

interface Contained {
  readonly owner: RecordingOwner;
  readonly containment: Containment;
  readonly url: string;
  /** What the contained calls told about their ends. */
  readonly settled: (boolean | null)[];
}

interface Around {
  readonly callTimeoutMs?: number;
  readonly before?: RequestHandler;
  readonly after?: RequestHandler;
  readonly containment?: Containment;
  readonly onSettled?: (succeeded: boolean | null) => void;
}

/** A server with one contained handler that answers failures itself, as a route does. */
async function contain(t: TestContext, handler: RequestHandler, around: Around = {}): Promise<Contained> {
  const containment = around.containment ?? new Containment();
  const owner = createOwner('a', { callTimeoutMs: around.callTimeoutMs ?? 5_000 });
  const settled: (boolean | null)[] = [];
  const site: HandlerSite = {
    owner,
    phase: 'route',
    what: 'GET /x',
    onFailure: (error, _req, res) => sendError(res, error),
  };
  const contained = containHandler(containment, site, handler, (succeeded) => {
    settled.push(succeeded);
    around.onSettled?.(succeeded);
  });
  const handlers = [around.before, contained, around.after].filter((each) => each !== undefined);
  return { owner, containment, settled, url: await serve(t, ...handlers) };
}

/** Resolves when a deadline set now has expired, and so every earlier one of its length. */
async function expired(containment: Containment, timeoutMs: number): Promise<void> {
  const { done, resolve } = signal();
  containment.deadlines.set(timeoutMs, resolve);
  const keepAlive = setTimeout(() => undefined, 60_000); // deadlines do not keep the process alive
  await done;
  clearTimeout(keepAlive);
}

/** Sends a request and leaves once `when` has settled (default: at once after the connection stands). */
async function leave(url: string, when: Promise<unknown>): Promise<void> {
  const request = get(url, (response) => response.resume().on('error', () => undefined));
  request.on('error', () => undefined);
  await when;
  request.destroy();
}

describe('a contained handler', () => {
  it('answers, and nothing is counted but the call', async (t) => {
    const { url, owner, settled } = await contain(t, (_req, res) => void res.send('hi'));
    assert.equal(await ask(url), '200 hi');
    assert.deepEqual(owner.failures, []);
    assert.equal(owner.counters('route').calls, 1);
    assert.deepEqual(settled, [true]);
  });

  for (const [how, handler] of [
    [
      'throws',
      () => {
        throw new Error('secret');
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('secret');
      },
    ],
    [
      'rejects later',
      async () => {
        await null;
        throw new Error('secret');
      },
    ],
    ['calls next(error)', (_req, _res, next) => next(new Error('secret'))],
    ['calls next("a string")', (_req, _res, next) => next('secret')],
    [
      'throws undefined',
      () => {
        throw undefined;
      },
    ],
  ] satisfies [string, RequestHandler][]) {
    it(`that ${how} is answered with plugin_error, and counted once`, async (t) => {
      const { url, owner, settled } = await contain(t, handler);
      const response = await fetch(url);
      const text = await response.text();
      assert.equal(response.status, 500);
      assert.match(text, /"plugin_error"/);
      assert.doesNotMatch(text, /secret/);
      assert.deepEqual(kinds(owner), ['route error']);
      assert.deepEqual(settled, [false]);
    });
  }

  it('that hangs is answered with plugin_timeout', async (t) => {
    const { url, owner, settled } = await contain(t, () => undefined, { callTimeoutMs: 10 });
    assert.equal(await ask(url), '504 plugin_timeout');
    assert.deepEqual(kinds(owner), ['route timeout']);
    assert.equal(owner.counters('route').timeouts, 1);
    assert.deepEqual(settled, [false]);
  });

  it('that answers after its deadline does not answer a second time', async (t) => {
    const late = signal();
    const done = signal();
    const handler: RequestHandler = async (_req, res) => {
      await late.done;
      setImmediate(done.resolve);
      res.json({ late: true });
    };
    const { url, owner } = await contain(t, handler, { callTimeoutMs: 10 });
    assert.equal(await ask(url), '504 plugin_timeout');
    late.resolve();
    await done.done;
    assert.deepEqual(kinds(owner), ['route timeout', 'route error']);
  });

  it('that hands on lets the next one answer', async (t) => {
    const { url, owner, settled } = await contain(t, (_req, _res, next) => next(), {
      after: (_req, res) => void res.send('after'),
    });
    assert.equal(await ask(url), '200 after');
    assert.deepEqual(owner.failures, []);
    assert.deepEqual(settled, [true]);
  });

  for (const argument of ['route', 'router', null]) {
    it(`that calls next(${JSON.stringify(argument)}) hands on`, async (t) => {
      const handler: RequestHandler = (_req, _res, next) => next(argument);
      const { url, owner } = await contain(t, handler, { after: (_req, res) => void res.send('after') });
      assert.equal(await ask(url), '200 after');
      assert.deepEqual(owner.failures, []);
    });
  }

  it('that calls next() twice hands on once, and is counted', async (t) => {
    let runs = 0;
    const handler: RequestHandler = (_req, _res, next) => {
      next();
      next();
    };
    const { url, owner } = await contain(t, handler, {
      after: (_req, res) => void res.send(`run ${++runs}`),
    });
    assert.equal(await ask(url), '200 run 1');
    assert.equal(runs, 1);
    assert.deepEqual(kinds(owner), ['route protocol']);
    assert.match(owner.failures[0]?.error.message ?? '', /called next\(\) twice/);
  });

  it('that fails after handing on is counted, and the next one’s answer stands', async (t) => {
    const handler: RequestHandler = (_req, _res, next) => {
      next();
      throw new Error('afterwards');
    };
    const { url, owner } = await contain(t, handler, { after: (_req, res) => void res.send('after') });
    assert.equal(await ask(url), '200 after');
    assert.deepEqual(kinds(owner), ['route error']);
  });

  it('that hands on after answering is counted, and nobody answers a second time', async (t) => {
    const handler: RequestHandler = (_req, res, next) => {
      res.send('mine');
      next();
    };
    const { url, owner } = await contain(t, handler, { after: () => assert.fail('handed on') });
    assert.equal(await ask(url), '200 mine');
    assert.deepEqual(kinds(owner), ['route protocol']);
  });

  it('that answers twice is counted, and the first answer stands', async (t) => {
    const handler: RequestHandler = (_req, res) => {
      res.json({ error: { code: 'first' } });
      res.json({ error: { code: 'second' } });
    };
    const { url, owner } = await contain(t, handler);
    assert.equal(await ask(url), '200 first');
    assert.deepEqual(kinds(owner), ['route error']);
  });

  it('that writes after the end is counted, and the answer stands', async (t) => {
    const handler: RequestHandler = (_req, res) => {
      res.end('whole');
      res.write('more');
    };
    const { url, owner } = await contain(t, handler);
    assert.equal(await ask(url), '200 whole');
    assert.deepEqual(kinds(owner), ['route protocol']);
  });

  it('that fails in the middle of an answer cuts the connection: half an answer is none', async (t) => {
    const handler: RequestHandler = async (_req, res) => {
      res.write('half');
      throw new Error('middle');
    };
    const { url, owner, settled } = await contain(t, handler);
    await assert.rejects(ask(url));
    assert.deepEqual(kinds(owner), ['route error']);
    assert.deepEqual(settled, [false]);
  });

  it('that streams is not cut by the deadline', async (t) => {
    const begun = signal();
    const rest = signal();
    const handler: RequestHandler = async (_req, res) => {
      res.write('first ');
      begun.resolve();
      await rest.done;
      res.end('last');
    };
    const { url, owner, containment } = await contain(t, handler, { callTimeoutMs: 10 });
    const answer = ask(url);
    await begun.done;
    await expired(containment, 10); // it stands behind the handler's own in the same queue
    rest.resolve();
    assert.equal(await answer, '200 first last');
    assert.deepEqual(owner.failures, []);
  });

  it('that throws a 4xx has answered: the error is passed on', async (t) => {
    for (const fail of [
      () => {
        throw Object.assign(new Error('not yours'), { status: 403 });
      },
      async () => {
        throw Object.assign(new Error('not yours'), { statusCode: 403 });
      },
      (_req: Request, _res: Response, next: (error: unknown) => void) =>
        next(Object.assign(new Error('not yours'), { status: 403 })),
    ]) {
      const { url, owner, settled } = await contain(t, fail);
      assert.equal(await ask(url), '403 permission_error');
      assert.deepEqual(owner.failures, []);
      assert.deepEqual(settled, [true]);
    }
  });

  it('runs as the plugin’s code, what follows next() as the caller’s again', async (t) => {
    const containment = new Containment();
    const seen: (string | undefined)[] = [];
    const look = (): number => seen.push(containment.current()?.owner.name);
    const handler: RequestHandler = async (_req, _res, next) => {
      look();
      await null;
      next();
      look();
    };
    const after: RequestHandler = (_req, res) => {
      look();
      setImmediate(() => {
        look();
        res.end();
      });
    };
    const { url } = await contain(t, handler, { containment, after });
    await ask(url);
    assert.deepEqual(seen, ['a', undefined, 'a', undefined]);
  });

  for (const [how, after] of [
    [
      'throws',
      () => {
        throw new Error('downstream');
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('downstream');
      },
    ],
  ] satisfies [string, RequestHandler][]) {
    it(`is not blamed for what ${how} downstream of it`, async (t) => {
      const { url, owner } = await contain(t, (_req, _res, next) => next(), { after });
      assert.equal(await ask(url), '500 internal_error');
      assert.deepEqual(owner.failures, []);
    });
  }

  it('is not blamed for an answer that takes longer than its deadline downstream', async (t) => {
    const { url, owner, containment } = await contain(t, (_req, _res, next) => next(), {
      callTimeoutMs: 5,
      after: async (_req, res) => {
        await expired(containment, 5);
        res.send('slow');
      },
    });
    assert.equal(await ask(url), '200 slow');
    assert.deepEqual(owner.failures, []);
  });

  it('carries the request id', async (t) => {
    const { url, owner } = await contain(
      t,
      () => {
        throw new Error('x');
      },
      {
        before: (req, _res, next) =>
          next(void Object.assign(req, { requestScope: new RequestScope('req-9') })),
      },
    );
    await ask(url);
    assert.equal(owner.failures[0]?.requestId, 'req-9');
  });

  it('serves other requests while one hangs', async (t) => {
    const handler: RequestHandler = (req, res) => {
      if (req.path !== '/hang') res.send('fine');
    };
    const { url } = await contain(t, handler, { callTimeoutMs: 50 });
    const hanging = ask(`${url}/hang`);
    assert.equal(await ask(url), '200 fine');
    assert.equal(await hanging, '504 plugin_timeout');
  });
});

describe('a client that leaves', () => {
  it('before the answer says nothing about the plugin', async (t) => {
    const running = signal();
    const over = signal<boolean | null>();
    const handler: RequestHandler = () => running.resolve();
    const { url, owner } = await contain(t, handler, { onSettled: over.resolve });
    await leave(url, running.done);
    assert.equal(await over.done, null);
    assert.deepEqual(owner.failures, []);
  });

  it('before the plugin’s turn came costs no call, and settles', async (t) => {
    const running = signal();
    const over = signal<boolean | null>();
    const before: RequestHandler = (_req, res, next) => {
      res.once('close', () => setImmediate(() => next()));
      running.resolve();
    };
    const { url, owner } = await contain(t, () => assert.fail('called'), { before, onSettled: over.resolve });
    await leave(url, running.done);
    assert.equal(await over.done, null);
    assert.deepEqual(owner.failures, []);
  });

  for (const [what, fail] of [
    [
      'an aborted body read (body-parser: 400)',
      () => Object.assign(new Error('request aborted'), { status: 400 }),
    ],
    ['an aborted read of its own', () => new Error('aborted')],
  ] as const) {
    it(`is no failure of a handler that then fails with ${what}`, async (t) => {
      const running = signal();
      const failed = signal();
      const handler: RequestHandler = async (_req, res) => {
        running.resolve();
        await once(res, 'close');
        setImmediate(failed.resolve);
        throw fail();
      };
      const { url, owner, settled } = await contain(t, handler);
      await leave(url, running.done);
      await failed.done;
      assert.deepEqual(owner.failures, []);
      assert.deepEqual(settled, [null]);
    });
  }

  it('in the middle of a stream is no failure of the handler that was streaming', async (t) => {
    const running = signal();
    const failed = signal<unknown>();
    const handler: RequestHandler = async (_req, res) => {
      const source = new PassThrough();
      source.write('first');
      running.resolve();
      try {
        await pipeline(source, res);
      } catch (error) {
        setImmediate(() => failed.resolve(error));
        throw error;
      }
    };
    const { url, owner } = await contain(t, handler);
    await leave(url, running.done);
    assert.equal(((await failed.done) as { code: string }).code, 'ERR_STREAM_PREMATURE_CLOSE');
    assert.deepEqual(owner.failures, []);
  });

  it('is no failure of a handler that goes on writing', async (t) => {
    const running = signal();
    const wrote = signal();
    const handler: RequestHandler = (_req, res) => {
      res.write('first');
      res.once('close', () => {
        res.write('more');
        res.end('last');
        setImmediate(wrote.resolve);
      });
      running.resolve();
    };
    const { url, owner } = await contain(t, handler);
    await leave(url, running.done);
    await wrote.done;
    assert.deepEqual(owner.failures, []);
  });

  it('does not excuse a source that broke in the middle of a stream', async (t) => {
    const handler: RequestHandler = async (_req, res) => {
      async function* chunks(): AsyncGenerator<string> {
        yield 'first';
        throw new Error('source');
      }
      await pipeline(Readable.from(chunks()), res);
    };
    const { url, owner, settled } = await contain(t, handler);
    await assert.rejects(ask(url));
    assert.deepEqual(kinds(owner), ['route error']);
    assert.deepEqual(settled, [false]);
  });
});
