import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { type GatewayProcess, startGateway } from '../../../test/support/gateway-process.ts';
import {
  COMPLETION,
  json,
  type Script,
  startUpstream,
  type Upstream,
} from '../../../test/support/upstream.ts';

const PLUGIN = join(import.meta.dirname, '..');

interface Started {
  readonly gateway: GatewayProcess;
  readonly upstreams: readonly Upstream[];
}

describe('in a gateway whose configuration names it', () => {
  const PARAMS = ['order: 2, rpm: 100', 'order: 1, rpm: 100'];
  const PRICES = [
    '{ input_cost_per_token: 2, output_cost_per_token: 1 }',
    '{ input_cost_per_token: 1, output_cost_per_token: 1 }',
  ];

  for (const [strategy, chosen] of [
    ['round-robin', '0101'],
    ['priority', '1111'],
    ['cost-based-routing', '1111'],
  ] as const) {
    it(`${strategy} decides`, async (t) => {
      const { gateway } = await start(t, strategy, PARAMS, PRICES);
      assert.equal(await askedInTurn(gateway, 4), chosen);
    });
  }

  it('least-busy passes over a deployment that still answers', async (t) => {
    const held = Promise.withResolvers<void>();
    const { gateway, upstreams } = await start(t, 'least-busy');
    for (const upstream of upstreams) {
      upstream.answer(async (request, res, socket) => {
        await held.promise;
        await json(COMPLETION)(request, res, socket);
      });
    }
    const arrived = upstreams.map((upstream) => upstream.nextRequest());
    const one = ask(gateway);
    await Promise.race(arrived);
    const two = ask(gateway);
    await Promise.all(arrived);
    held.resolve();
    assert.deepEqual([await one, await two].toSorted(), ['0', '1']);
  });

  it('latency-based-routing goes to the faster one once both are measured', async (t) => {
    const slow: Script = async (request, res, socket) => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      await json(COMPLETION)(request, res, socket);
    };
    const { gateway, upstreams } = await start(t, 'latency-based-routing');
    upstreams[0]?.answer(slow);
    await askedInTurn(gateway, 2);
    assert.equal(await askedInTurn(gateway, 4), '1111');
  });

  for (const strategy of ['usage-based-routing', 'usage-based-routing-v2']) {
    it(`${strategy} keeps to rpm`, async (t) => {
      const { gateway, upstreams } = await start(t, strategy, ['rpm: 1', 'rpm: 1000'], [], {
        LLMROUTER_PLUGIN_ROUTING_STRATEGIES__SHARED_USAGE: 'true',
      });
      await askedInTurn(gateway, 6);
      // Two at most, should the minute have changed in between.
      assert.ok((upstreams[0]?.requests.length ?? 0) <= 2);
    });
  }

  for (const tier of ['inline', 'process']) {
    it(`usage-based-routing refuses what no deployment has room for, ${tier}`, async (t) => {
      const { gateway, upstreams } = await start(t, 'usage-based-routing', ['rpm: 1', 'rpm: 1'], [], {
        LLMROUTER_PLUGINS_ISOLATION: tier,
      });
      const answers = [];
      // Four at most get through, should the minute change in between.
      for (let n = 0; n < 5; n++) answers.push(await post(gateway));
      const refused = answers.filter(({ status }) => status === 429);
      assert.ok(
        refused.length > 0 && refused.length === 5 - upstreams.flatMap(({ requests }) => requests).length,
      );
      for (const response of refused) {
        assert.match(response.headers.get('retry-after') ?? '', /^[1-9]\d?$/);
        const { error } = (await response.json()) as { error: { code: string } };
        assert.equal(error.code, 'rate_limit_exceeded');
      }
    });
  }

  it('consistent-hash keeps a prompt at one deployment', async (t) => {
    const { gateway } = await start(t, 'consistent-hash');
    assert.match(await askedInTurn(gateway, 4), /^(0000|1111)$/);
  });

  it('is active, and logs nothing that is wrong', async (t) => {
    const { gateway } = await start(t, 'least-busy');
    await ask(gateway);
    assert.deepEqual(
      gateway.log.filter(({ level }) => level === 'warn' || level === 'error'),
      [],
    );
  });
});

describe('in a gateway whose configuration does not name it', () => {
  it('is inactive, and says what would switch it on', async (t) => {
    const { gateway } = await start(t, 'simple-shuffle');
    const response = await fetch(`${gateway.url}/admin/plugins/routing-strategies`, {
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
    });
    const { state, reason } = (await response.json()) as { state: string; reason: { message: string } };
    assert.equal(state, 'inactive');
    assert.match(reason.message, /routing_strategy is round-robin or least-busy/);
  });
});

describe('a strategy that nobody provides', () => {
  it('is named when the gateway starts, and the default decides', async (t) => {
    const { gateway } = await start(t, 'least-busy', [], [], {
      LLMROUTER_PLUGINS_DISABLED: 'routing-strategies',
    });
    const line = await gateway.logged(({ message }) => /"least-busy"/.test(String(message)));
    assert.equal(line.level, 'warn');
    assert.match(await ask(gateway), /^[01]$/);
  });
});

const ADMIN_KEY = 'admin-key-for-tests-0123456789';

/** A gateway with two deployments of one model, an upstream for each. */
async function start(
  t: TestContext,
  strategy: string,
  params: readonly string[] = [],
  prices: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Started> {
  const upstreams = await Promise.all([startUpstream(), startUpstream()]);
  t.after(() => Promise.all(upstreams.map((upstream) => upstream.close())));
  const entries = upstreams.map(
    ({ url }, index) =>
      `  - model_name: m\n    litellm_params: { model: openai/m, api_key: k, api_base: '${url}', ${params[index] ?? ''} }\n` +
      `    model_info: ${prices[index] ?? '{}'}\n`,
  );
  const gateway = await startGateway(t, {
    env: { LLMROUTER_PLUGINS: PLUGIN, LLMROUTER_ADMIN_KEY: ADMIN_KEY, ...env },
    files: {
      'gateway.yaml': `model_list:\n${entries.join('')}router_settings: { routing_strategy: ${strategy} }\n`,
    },
  });
  return { gateway, upstreams };
}

function post({ url }: GatewayProcess): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hello' }] }),
  });
}

/** The index of the deployment that has answered. */
async function ask(gateway: GatewayProcess): Promise<string> {
  const response = await post(gateway);
  await response.text();
  assert.equal(response.status, 200);
  return response.headers.get('x-llmrouter-deployment')?.replace('m/', '') ?? '';
}

async function askedInTurn(gateway: GatewayProcess, count: number): Promise<string> {
  let chosen = '';
  for (let turn = 0; turn < count; turn++) chosen += await ask(gateway);
  return chosen;
}
