import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type GatewayProcess, startGateway, writeFiles } from '../support/gateway-process.ts';
import { admin, WITH_ADMIN } from './support.ts';

/** Counts how often it was asked. */
function counter(version: string, methods: string): Record<string, string> {
  return {
    'plugins/count.mjs': `
      let count = 0;
      export default {
        metadata: { name: 'count', version: '${version}', capabilities: ['ROUTES'] },
        startup(app) { app.get('/count', (_req, res) => { res.json(++count); }); },
        ${methods}
      };`,
  };
}

const EXPORTS = 'exportState: () => new Map([["count", count]]),';
const IMPORTS = 'importState(state) { count = state.get("count"); },';

async function reload(gateway: GatewayProcess): Promise<{ status: number; message: string }> {
  const answer = await admin(gateway, '/plugins/reload', { method: 'POST' });
  const body = (await answer.json()) as { failed?: readonly { name: string; message: string }[] };
  const [failed] = body.failed ?? [];
  return { status: answer.status, message: failed === undefined ? '' : `${failed.name}: ${failed.message}` };
}

async function count(gateway: GatewayProcess): Promise<string> {
  return (await fetch(`${gateway.url}/count`)).text();
}

for (const tier of ['inline', 'process']) {
  describe(`state at a reload, ${tier}`, () => {
    const env = { ...WITH_ADMIN, LLMROUTER_PLUGINS_ISOLATION: tier };

    test('goes to the new version, copied as structuredClone does', async (t) => {
      const gateway = await startGateway(t, { env, files: counter('1.0.0', EXPORTS) });
      for (const expected of ['1', '2']) assert.equal(await count(gateway), expected);
      writeFiles(gateway.dir, counter('2.0.0', EXPORTS + IMPORTS));
      assert.deepEqual(await reload(gateway), { status: 200, message: '' });
      assert.equal(await count(gateway), '3');
    });

    test('is left behind when one of the two has no method for it', async (t) => {
      const gateway = await startGateway(t, { env, files: counter('1.0.0', EXPORTS) });
      assert.equal(await count(gateway), '1');
      writeFiles(gateway.dir, counter('2.0.0', EXPORTS));
      assert.equal((await reload(gateway)).status, 200);
      assert.equal(await count(gateway), '1');
    });

    const failing: readonly [what: string, before: string, next: string, told: RegExp][] = [
      [
        'cannot be exported',
        'exportState() { throw new Error("locked"); },',
        IMPORTS,
        /^count: .*exportState\(\).*locked/,
      ],
      [
        'cannot be copied',
        'exportState: () => ({ close() {} }),',
        IMPORTS,
        /^count: .*exportState\(\).*could not be cloned/,
      ],
      [
        'cannot be imported',
        EXPORTS,
        'importState() { throw new Error("too old"); },',
        /^count: .*importState\(\).*too old/,
      ],
    ];
    for (const [what, before, next, told] of failing) {
      test(`that ${what} fails the reload, which says so, and the old version keeps its own`, async (t) => {
        const gateway = await startGateway(t, { env, files: counter('1.0.0', before) });
        assert.equal(await count(gateway), '1');
        writeFiles(gateway.dir, counter('2.0.0', next));
        const { status, message } = await reload(gateway);
        assert.equal(status, 422);
        assert.match(message, told);
        assert.equal(await count(gateway), '2');
      });
    }
  });
}
