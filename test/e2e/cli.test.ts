import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type GatewayProcess, spawnGateway } from '../support/gateway-process.ts';
import { readTrace, tracing } from './support.ts';

const printed = async (gateway: GatewayProcess): Promise<{ code: number | null; out: string }> => {
  const code = await gateway.exited;
  return { code, out: gateway.log.map(({ text }) => text).join('\n') };
};

describe('routeiq plugins', { concurrency: 2 }, () => {
  test('check: 0 when all would load; nothing is started', async (t) => {
    const gateway = spawnGateway(t, {
      args: ['plugins', 'check'],
      files: { 'plugins/a.mjs': tracing({ name: 'a', version: '1.2.3' }) },
    });
    const { code, out } = await printed(gateway);
    assert.equal(code, 0, gateway.stderr());
    assert.match(out, /^loaded +a 1\.2\.3 \(plugins\/a\.mjs\)$/);
    assert.throws(() => readTrace(gateway), { code: 'ENOENT' });
  });

  test('check: 1 when one would not, with the code and the sentence of the admin API', async (t) => {
    const gateway = spawnGateway(t, {
      args: ['plugins', 'check'],
      env: { LLMROUTER_PLUGINS: './denied.mjs', LLMROUTER_PLUGINS_ALLOWLIST: 'plugins/a.mjs,plugins/b.mjs' },
      files: {
        'denied.mjs': tracing({ name: 'denied' }),
        'plugins/a.mjs': tracing({ name: 'a' }),
        'plugins/b.mjs': 'import "./missing.js";',
      },
    });
    const { code, out } = await printed(gateway);
    assert.equal(code, 1);
    assert.match(
      out,
      /^rejected +denied - \(\.\/denied\.mjs\)\n +plugin_not_allowlisted: .*LLMROUTER_PLUGINS_ALLOWLIST/m,
    );
    assert.match(out, /^loaded +a /m);
    assert.match(out, /^failed +b - \(plugins\/b\.mjs\)\n +plugin_load: .*missing\.js/m);
  });

  test('check: 78 for dependency errors and bad configuration', async (t) => {
    const cycle = spawnGateway(t, {
      args: ['plugins', 'check'],
      files: {
        'plugins/a.mjs': tracing({ name: 'a', dependsOn: ['b'] }),
        'plugins/b.mjs': tracing({ name: 'b', dependsOn: ['a'] }),
      },
    });
    assert.equal(await cycle.exited, 78);
    assert.match(cycle.stderr(), /^routeiq: .*(a -> b -> a|b -> a -> b)/);
    const bad = spawnGateway(t, { args: ['plugins', 'check'], env: { PORT: 'x' } });
    assert.equal(await bad.exited, 78);
  });

  test('explain: the order, and why each stands where it stands', async (t) => {
    const gateway = spawnGateway(t, {
      args: ['plugins', 'explain'],
      files: {
        'plugins/a.mjs': tracing({ name: 'a', dependsOn: ['z'] }),
        'plugins/m.mjs': tracing({ name: 'm', priority: 5 }),
        'plugins/z.mjs': tracing({ name: 'z' }),
      },
    });
    const { code, out } = await printed(gateway);
    assert.equal(code, 0, gateway.stderr());
    assert.match(out, /^1\. m: .*5.*\n2\. z: .+\n3\. a: .*"?z"?.*$/);
    assert.throws(() => readTrace(gateway), { code: 'ENOENT' });
  });

  test('--help and --version', async (t) => {
    const help = await printed(spawnGateway(t, { args: ['--help'] }));
    assert.equal(help.code, 0);
    assert.match(help.out, /plugins check/);
    const version = await printed(spawnGateway(t, { args: ['--version'] }));
    assert.match(version.out, /^\d+\.\d+\.\d+$/);
  });
});
