import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';

const HOST = join(import.meta.dirname, 'fixtures/late-host.ts');

describe('a plugin that fails after it has answered', () => {
  it('is blamed by context, then by stack, and the process and every answer stand', async () => {
    // A process of its own: the test runner's handlers of uncaught errors would get there first.
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=routeiq-source', HOST], {
      timeout: 30_000,
    });
    const { answers, failures, bystander, unblamed } = JSON.parse(stdout);
    const ways = ['timer', 'rejection', 'microtask', 'tick', 'emitter', 'unheard'];
    assert.deepEqual(answers, Object.fromEntries(ways.map((way) => [way, 'answered'])));
    assert.deepEqual(
      failures.map((failure: string) => failure.replace(/Unhandled error\. .*/, 'unheard')),
      [
        'route late: timer',
        'route late: rejection',
        'route late: microtask',
        'route late: tick',
        'background late: emitter',
        'route late: unheard',
      ],
    );
    assert.equal(bystander, 0);
    assert.deepEqual(unblamed, ['Error: ours']);
  });
});
