import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CallSite, Containment, ignoreResult, isAnswer } from '../../src/containment/containment.ts';
import { GatewayError, isGatewayError } from '../../src/errors.ts';
import { RequestScope } from '../../src/request-scope.ts';
import { createOwner, kinds, type RecordingOwner, signal } from './support.ts';

function siteOf<T>(owner: RecordingOwner, check: CallSite<T>['check'], timeoutMs?: number): CallSite<T> {
  return { owner, phase: 'tool', what: 'tool "x"', check, ...(timeoutMs !== undefined && { timeoutMs }) };
}

const asIs = (value: unknown): unknown => value;

function never(): Promise<never> {
  return new Promise(() => undefined);
}

/** Lets pending promise callbacks run. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('a contained call', () => {
  it('gives back what the plugin answered, at once or later, as its check has it', async () => {
    const containment = new Containment();
    const owner = createOwner('a');
    const site = siteOf(owner, (value) => `checked ${String(value)}`);
    assert.equal(await containment.call(site, null, () => 1), 'checked 1');
    assert.equal(await containment.call(site, null, async () => 2), 'checked 2');
    assert.deepEqual(owner.failures, []);
    assert.deepEqual(
      { ...owner.counters('tool'), seconds: 0 },
      { calls: 2, failures: 0, timeouts: 0, skipped: 0, seconds: 0 },
    );
  });

  it('counts the time until the plugin settled', async () => {
    let now = 0;
    const containment = new Containment(() => now);
    const owner = createOwner('a');
    await containment.call(siteOf(owner, asIs), null, async () => {
      now = 250;
    });
    assert.equal(owner.counters('tool').seconds, 0.25);
  });

  for (const [how, fail] of [
    [
      'throws',
      () => {
        throw new Error('secret detail');
      },
    ],
    ['rejects', () => Promise.reject(new Error('secret detail'))],
  ] as const) {
    it(`that ${how} is a plugin_error, whose cause is for the log alone`, async () => {
      const containment = new Containment();
      const owner = createOwner('a');
      const call = containment.call(siteOf(owner, asIs), new RequestScope('req-1'), fail);
      await assert.rejects(call, (error) => {
        assert.ok(isGatewayError(error));
        assert.equal(error.code, 'plugin_error');
        assert.equal(error.plugin, 'a');
        assert.equal(error.message, 'Plugin "a": tool "x" failed');
        assert.equal((error.cause as Error).message, 'secret detail');
        return true;
      });
      assert.deepEqual(kinds(owner), ['tool error']);
      assert.equal(owner.failures[0]?.requestId, 'req-1');
      assert.equal(owner.counters('tool').failures, 1);
    });
  }

  for (const thrown of [undefined, null, 'a string', 7, Object.create(null), { status: 500 }]) {
    it(`that throws ${typeof thrown === 'object' && thrown ? 'an object' : String(thrown)} is a failure like any other`, async () => {
      const owner = createOwner('a');
      const call = new Containment().call(siteOf(owner, asIs), null, () => {
        throw thrown;
      });
      await assert.rejects(call, { code: 'plugin_error' });
      assert.ok(owner.failures[0]?.error instanceof Error);
    });
  }

  for (const status of [400, 401, 403, 404, 429, 499]) {
    it(`that throws an error with status ${status} has answered, not failed`, async () => {
      const owner = createOwner('a');
      const thrown = Object.assign(new Error('no'), { status });
      const call = new Containment().call(siteOf(owner, asIs), null, async () => {
        throw thrown;
      });
      await assert.rejects(call, (error) => error === thrown);
      assert.deepEqual(owner.failures, []);
    });
  }

  it('that throws an error with a hostile status has failed', async () => {
    const owner = createOwner('a');
    const thrown = Object.defineProperty(new Error('no'), 'status', {
      get() {
        throw new Error('hostile');
      },
    });
    const call = new Containment().call(siteOf(owner, asIs), null, () => {
      throw thrown;
    });
    await assert.rejects(call, { code: 'plugin_error' });
    assert.deepEqual(kinds(owner), ['tool error']);
  });

  it('that hangs is a plugin_timeout after the owner’s time', async () => {
    const owner = createOwner('a', { callTimeoutMs: 5 });
    await assert.rejects(new Containment().call(siteOf(owner, asIs), null, never), {
      code: 'plugin_timeout',
      status: 504,
      message: 'Plugin "a": tool "x" did not settle within 5 ms',
    });
    assert.deepEqual(kinds(owner), ['tool timeout']);
    assert.equal(owner.counters('tool').timeouts, 1);
  });

  it('that hangs is a plugin_timeout after the time of this call, when it has one', async () => {
    const owner = createOwner('a', { callTimeoutMs: 100_000 });
    await assert.rejects(new Containment().call(siteOf(owner, asIs, 5), null, never), {
      code: 'plugin_timeout',
    });
  });

  it('cannot feign a time-out', async () => {
    const owner = createOwner('a', { callTimeoutMs: 5 });
    const stolen = await new Containment()
      .call(siteOf(owner, asIs), null, never)
      .catch((error: unknown) => error);
    const call = new Containment().call(siteOf(owner, asIs), null, () => {
      throw stolen;
    });
    await assert.rejects(call, { code: 'plugin_error' });
    assert.deepEqual(kinds(owner), ['tool timeout', 'tool error']);
  });

  it('that rejects after its deadline surfaces nowhere', async () => {
    const owner = createOwner('a', { callTimeoutMs: 5 });
    const { promise, reject } = Promise.withResolvers<never>();
    await assert.rejects(
      new Containment().call(siteOf(owner, asIs), null, () => promise),
      { code: 'plugin_timeout' },
    );
    reject(new Error('late'));
    await turn(); // an unhandled rejection would fail this test
    assert.deepEqual(kinds(owner), ['tool timeout']);
  });

  it('that answers wrongly is an invalid answer, and the message says what was seen', async () => {
    const owner = createOwner('a');
    const check = (): never => {
      throw new Error('saw 3, expected a list');
    };
    await assert.rejects(
      new Containment().call(siteOf(owner, check), null, () => 3),
      { code: 'plugin_error', message: 'Plugin "a": tool "x" answered wrongly: saw 3, expected a list' },
    );
    assert.deepEqual(kinds(owner), ['tool invalid']);
    assert.equal(owner.counters('tool').failures, 1);
  });

  it('that answers with hostile getters is an invalid answer, even if they throw a 404', async () => {
    const owner = createOwner('a');
    const hostile = {
      get id() {
        throw Object.assign(new Error('x'), { status: 404 });
      },
    };
    const check = (value: unknown): unknown => (value as { id: unknown }).id;
    await assert.rejects(
      new Containment().call(siteOf(owner, check), null, () => hostile),
      { code: 'plugin_error' },
    );
    assert.deepEqual(kinds(owner), ['tool invalid']);
  });

  describe('with a hostile thenable', () => {
    // biome-ignore-start lint/suspicious/noThenProperty: thenables are what is tested
    it('whose then throws is a failure', async () => {
      const owner = createOwner('a');
      const thenable = {
        then() {
          throw new Error('then');
        },
      };
      await assert.rejects(
        new Containment().call(siteOf(owner, asIs), null, () => thenable),
        { code: 'plugin_error' },
      );
    });

    it('whose getter throws is a failure', async () => {
      const owner = createOwner('a');
      const thenable = {
        get then() {
          throw new Error('getter');
        },
      };
      await assert.rejects(
        new Containment().call(siteOf(owner, asIs), null, () => thenable),
        { code: 'plugin_error' },
      );
      assert.deepEqual(kinds(owner), ['tool error']);
    });

    it('that settles twice counts once', async () => {
      const owner = createOwner('a');
      const thenable = {
        then(resolve: (value: string) => void, reject: (error: Error) => void) {
          resolve('first');
          reject(new Error('second'));
          resolve('third');
        },
      };
      assert.equal(await new Containment().call(siteOf(owner, asIs), null, () => thenable), 'first');
      assert.deepEqual(owner.failures, []);
    });

    it('that never settles times out', async () => {
      const owner = createOwner('a', { callTimeoutMs: 5 });
      const thenable = { then: () => undefined };
      await assert.rejects(
        new Containment().call(siteOf(owner, asIs), null, () => thenable),
        {
          code: 'plugin_timeout',
        },
      );
    });

    it('runs as the plugin, so that what it does later is blamed on it', async () => {
      const containment = new Containment();
      const owner = createOwner('a');
      const seen: unknown[] = [];
      const thenable = {
        get then() {
          seen.push(containment.current()?.owner);
          return (resolve: (value: unknown) => void) => {
            seen.push(containment.current()?.owner);
            resolve(null);
          };
        },
      };
      await containment.call(siteOf(owner, asIs), null, () => thenable);
      assert.ok(seen.length >= 2);
      assert.deepEqual(new Set(seen), new Set([owner]));
    });
    // biome-ignore-end lint/suspicious/noThenProperty: thenables are what is tested
  });

  it('runs as the plugin’s code, and what follows it as the caller’s again', async () => {
    const containment = new Containment();
    const outer = createOwner('outer');
    const inner = createOwner('inner');
    const seen: (string | undefined)[] = [];
    const look = (): number => seen.push(containment.current()?.owner.name);
    await containment.call(siteOf(outer, ignoreResult), null, async () => {
      look();
      await containment.call(siteOf(inner, ignoreResult), null, async () => {
        await turn();
        look();
      });
      look();
    });
    look();
    assert.deepEqual(seen, ['outer', 'inner', 'outer', undefined]);
  });

  it('knows plugin, phase and request while it runs', async () => {
    const containment = new Containment();
    const owner = createOwner('a');
    const request = new RequestScope('req-7');
    const context = await containment.call(siteOf(owner, asIs), request, () => containment.current());
    assert.deepEqual(context, { owner, phase: 'tool', request });
  });

  it('leaves other calls alone when it fails', async () => {
    const containment = new Containment();
    const bad = createOwner('bad', { callTimeoutMs: 5 });
    const good = createOwner('good');
    const answer = signal<string>();
    const failing = Array.from({ length: 20 }, () => containment.call(siteOf(bad, asIs), null, never));
    const passing = containment.call(siteOf(good, asIs), null, () => answer.done);
    await Promise.allSettled(failing);
    answer.resolve('fine');
    assert.equal(await passing, 'fine');
    assert.deepEqual(good.failures, []);
    assert.equal(bad.failures.length, 20);
  });
});

describe('an answer', () => {
  it('is an error with an own status from 400 to 499, spelt as Express or http-errors do', () => {
    assert.equal(isAnswer(Object.assign(new Error(), { status: 404 })), true);
    assert.equal(isAnswer(Object.assign(new Error(), { statusCode: 429 })), true);
    assert.equal(isAnswer(new GatewayError('permission_error', 'no')), true);
  });

  it('is nothing else', () => {
    for (const thrown of [
      null,
      undefined,
      404,
      'no',
      new Error('no'),
      { status: 399 },
      { status: 500 },
      { status: '404' },
      { status: 404.5 },
      new GatewayError('plugin_error', 'x'),
    ]) {
      assert.equal(isAnswer(thrown), false);
    }
  });
});
