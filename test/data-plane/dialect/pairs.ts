import type { TestContext } from 'node:test';
import { deployment, type PlaneSetup, serve } from '../../support/data-plane.ts';
import { type Script, startUpstream, type Upstream } from '../../support/upstream.ts';
import { ANTHROPIC_VENDOR, CHAT_VENDOR, type Vendor } from './answers.ts';
import { CHAT_CLIENT, type Client, MESSAGES_CLIENT, RESPONSES_CLIENT } from './clients.ts';

/** A client's dialect, and another that the upstream speaks. */
export interface Pair {
  readonly client: Client;
  readonly provider: 'openai' | 'anthropic';
  /** The model's name at the upstream; clients call it `the-model`. */
  readonly model: string;
  /** The path at the upstream. */
  readonly path: string;
  readonly vendor: Vendor;
}

const TO_CHAT = {
  provider: 'openai',
  model: 'gpt-4o',
  path: '/v1/chat/completions',
  vendor: CHAT_VENDOR,
} as const;

const TO_ANTHROPIC = {
  provider: 'anthropic',
  model: 'claude-sonnet-4-5',
  path: '/v1/messages',
  vendor: ANTHROPIC_VENDOR,
} as const;

export const PAIRS: readonly Pair[] = [
  { client: CHAT_CLIENT, ...TO_ANTHROPIC },
  { client: RESPONSES_CLIENT, ...TO_ANTHROPIC },
  { client: RESPONSES_CLIENT, ...TO_CHAT },
  { client: MESSAGES_CLIENT, ...TO_CHAT },
];

/** A gateway in front of one upstream; both are closed when the test ends. */
export async function gateway(
  t: TestContext,
  { provider, model }: Pair,
  script: Script,
  setup: PlaneSetup = {},
): Promise<{ readonly url: string; readonly upstream: Upstream }> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  const fields = { group: 'the-model', provider, model, responsesOverChat: true };
  const { url } = await serve(t, { deployments: [deployment(upstream.url, fields)], ...setup });
  return { url, upstream };
}
