import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkHealth } from '../../src/lifecycle/health.ts';
import type { HealthReport } from '../../src/plugin-api/plugin.ts';
import { createHost } from './support.ts';

async function healthOf(
  t: Parameters<typeof createHost>[0],
  healthCheck: (() => unknown) | undefined,
  timeoutMs = 5_000,
): Promise<{ health: HealthReport | null; failures: number }> {
  const plugin = { metadata: { name: 'a' }, startup: () => undefined, ...(healthCheck && { healthCheck }) };
  const host = createHost(t, [plugin as never]);
  await host.startAll();
  await checkHealth({ registry: host.registry, containment: host.containment, timeoutMs });
  const { health, breaker, state } = host.record('a');
  assert.equal(state, 'started');
  return { health, failures: breaker.total };
}

describe('health', () => {
  it('is what the plugin reports, at once or later', async (t) => {
    for (const status of ['ok', 'degraded', 'unhealthy'] as const) {
      assert.deepEqual((await healthOf(t, () => ({ status }))).health, { status });
      assert.deepEqual((await healthOf(t, async () => ({ status, message: 'why' }))).health, {
        status,
        message: 'why',
      });
    }
  });

  it('is ok without healthCheck', async (t) => {
    assert.deepEqual((await healthOf(t, undefined)).health, { status: 'ok' });
  });

  for (const [what, healthCheck] of [
    [
      'a throw',
      () => {
        throw new Error('x');
      },
    ],
    [
      'a rejection',
      async () => {
        throw new Error('x');
      },
    ],
    ['nothing', () => undefined],
    ['null', () => null],
    ['a string', () => 'ok'],
    ['a boolean', () => true],
    ['an unknown status', () => ({ status: 'fine' })],
    [
      'a 404',
      () => {
        throw Object.assign(new Error('x'), { status: 404 });
      },
    ],
  ] as const) {
    it(`is unhealthy for ${what}, and no runtime failure`, async (t) => {
      const { health, failures } = await healthOf(t, healthCheck);
      assert.equal(health?.status, 'unhealthy');
      assert.equal(failures, 0);
    });
  }

  it('is unhealthy when the check hangs past its deadline', async (t) => {
    const { health } = await healthOf(t, () => new Promise(() => undefined), 10);
    assert.equal(health?.status, 'unhealthy');
    assert.match(health?.message ?? '', /healthCheck\(\) did not settle within 10 ms/);
  });

  it('keeps nothing of a report but status and message', async (t) => {
    const { health } = await healthOf(t, () => ({ status: 'ok', message: 7, secret: 'x' }));
    assert.deepEqual(health, { status: 'ok' });
  });

  it('asks all plugins, whatever one of them does', async (t) => {
    const host = createHost(t, [
      {
        metadata: { name: 'hangs' },
        startup: () => undefined,
        healthCheck: () => new Promise(() => undefined),
      },
      { metadata: { name: 'fine' }, startup: () => undefined, healthCheck: () => ({ status: 'degraded' }) },
    ]);
    await host.startAll();
    await checkHealth({ registry: host.registry, containment: host.containment, timeoutMs: 10 });
    assert.deepEqual(
      [host.record('hangs').health?.status, host.record('fine').health?.status],
      ['unhealthy', 'degraded'],
    );
  });

  it('is asked of started plugins only', async (t) => {
    const host = createHost(t, [
      { metadata: { name: 'a' }, startup: () => undefined, healthCheck: () => assert.fail('asked') },
    ]);
    await host.startAll();
    await host.supervisor.quarantine(host.record('a'), 'by hand');
    await checkHealth({ registry: host.registry, containment: host.containment, timeoutMs: 10 });
    assert.equal(host.record('a').health, null);
  });
});
