import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { ADMIN_KEY, WITH_ADMIN } from '../../../test/e2e/support.ts';
import { type GatewayProcess, startGateway } from '../../../test/support/gateway-process.ts';
import { type Script, startUpstream, type Upstream } from '../../../test/support/upstream.ts';

export const PLUGIN: string = join(import.meta.dirname, '..');

/** USD per token of answers. Prompts are free, so that their estimate does not matter. */
export const PRICE = 0.01;

/** A gateway that asks for keys, with the model `priced` of an upstream and one without a price. */
export async function start(
  t: TestContext,
  upstream: Upstream,
  env: Readonly<Record<string, string>> = {},
  files: Readonly<Record<string, string>> = {},
): Promise<GatewayProcess> {
  return startGateway(t, {
    env: {
      ...WITH_ADMIN,
      LLMROUTER_PLUGINS: PLUGIN,
      LLMROUTER_PLUGIN_AUTH_API_KEYS__ENABLED: 'true',
      LLMROUTER_PLUGIN_AUTH_API_KEYS__CACHE_MS: '0',
      ...env,
    },
    files: { 'gateway.yaml': configFor(upstream), ...files },
  });
}

export async function upstreamFor(t: TestContext, ...scripts: readonly Script[]): Promise<Upstream> {
  const upstream = await startUpstream(...scripts);
  t.after(() => upstream.close());
  return upstream;
}

function configFor({ url }: Upstream): string {
  const deployment = (name: string, info = ''): string =>
    `  - model_name: ${name}\n    litellm_params: { model: openai/gpt-4o, api_key: k, api_base: '${url}' }\n${info}`;
  const prices = `    model_info: { input_cost_per_token: 0, output_cost_per_token: ${PRICE} }\n`;
  return `model_list:\n${deployment('priced', prices)}${deployment('unpriced')}router_settings: { num_retries: 0 }\n`;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what came, whatever it is
  readonly body: any;
}

/** Calls the admin API of the keys. */
export async function admin(
  { url }: GatewayProcess,
  method: string,
  path = '',
  body?: unknown,
): Promise<Answer> {
  const response = await fetch(`${url}/admin/auth-api-keys/keys${path}`, {
    method,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return toAnswer(response);
}

/** Makes a key and returns its secret. */
export async function createKey(
  gateway: GatewayProcess,
  terms: Readonly<Record<string, unknown>>,
): Promise<string> {
  const { status, body } = await admin(gateway, 'POST', '', terms);
  if (status !== 201) throw new Error(JSON.stringify(body));
  return body.key;
}

/** Asks a model for at most ten tokens. */
export async function ask(
  { url }: GatewayProcess,
  key: string,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<Answer> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'priced',
      max_tokens: 10,
      messages: [{ role: 'user', content: 'Hello' }],
      ...fields,
    }),
  });
  return toAnswer(response);
}

/** What the key has spent, once that is as `expected`: it is settled when the answer is out already. */
export async function spentBy(gateway: GatewayProcess, id: string, expected: number): Promise<number> {
  let spent = Number.NaN;
  for (let attempt = 0; attempt < 100; attempt++) {
    spent = (await admin(gateway, 'GET', `/${id}`)).body.spentUsd;
    if (Math.abs(spent - expected) < 1e-9) return expected;
  }
  return spent;
}

async function toAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // A stream, or nothing.
  }
  return { status: response.status, headers: response.headers, body };
}
