import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { deployment, type PlaneSetup, postTo, routing, serve } from '../../support/data-plane.ts';
import { json, startUpstream, type Upstream } from '../../support/upstream.ts';
import { ANTHROPIC_VENDOR, CHAT_VENDOR } from './answers.ts';
import { ANSWERS } from './scenarios.ts';

const CHAT = '/v1/chat/completions';
/** The Messages API has no seed. */
const SEEDED = JSON.stringify({ model: 'm', seed: 7, messages: [{ role: 'user', content: 'hi' }] });

interface Mixed {
  readonly url: string;
  readonly anthropic: Upstream;
  readonly openai: Upstream;
}

/** A group of two: Anthropic's deployment is chosen first. */
async function mixed(t: TestContext, setup: PlaneSetup = {}): Promise<Mixed> {
  const anthropic = await startUpstream(ANTHROPIC_VENDOR.answer(ANSWERS.text));
  const openai = await startUpstream(CHAT_VENDOR.answer(ANSWERS.text));
  t.after(() => Promise.all([anthropic.close(), openai.close()]));
  const deployments = [
    deployment(anthropic.url, { id: 'm/0', group: 'm', provider: 'anthropic', model: 'claude-sonnet-4-5' }),
    deployment(openai.url, { id: 'm/1', group: 'm', provider: 'openai', model: 'gpt-4o' }),
  ];
  const { url } = await serve(t, { deployments, random: () => 0, ...setup });
  return { url, anthropic, openai };
}

describe('a group whose deployments speak different dialects', () => {
  it('answers a request that cannot be carried to one of them with another', async (t) => {
    const { url, anthropic, openai } = await mixed(t);
    const response = await postTo(url, CHAT, SEEDED);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('x-llmrouter-deployment'), 'm/1');
    assert.equal(response.headers.get('x-llmrouter-attempts'), '1');
    assert.equal(anthropic.requests.length, 0);
    assert.equal(openai.requests.length, 1);
  });

  it('does so without a retry, and without a mark against the deployment that was passed over', async (t) => {
    const { url, anthropic } = await mixed(t, { routing: routing({ numRetries: 0, allowedFails: 0 }) });
    assert.equal((await postTo(url, CHAT, SEEDED)).status, 200);
    const plain = await postTo(url, CHAT, JSON.stringify({ ...JSON.parse(SEEDED), seed: undefined }));
    assert.equal(plain.headers.get('x-llmrouter-deployment'), 'm/0');
    assert.equal(anthropic.requests.length, 1);
  });

  it('says what the one that can take the request has failed with', async (t) => {
    const { url, anthropic, openai } = await mixed(t);
    openai.answer(json({ error: { message: 'busy' } }, 503));
    const response = await postTo(url, CHAT, SEEDED);
    assert.equal(response.status, 502);
    assert.deepEqual([anthropic.requests.length, openai.requests.length], [0, 1]);
  });

  it('names the field when no deployment can take the request', async (t) => {
    const upstream = await startUpstream(ANTHROPIC_VENDOR.answer(ANSWERS.text));
    t.after(() => upstream.close());
    const fields = { group: 'm', provider: 'anthropic', model: 'claude-sonnet-4-5' };
    const deployments = ['m/0', 'm/1'].map((id) => deployment(upstream.url, { ...fields, id }));
    const { url } = await serve(t, { deployments });
    const response = await postTo(url, CHAT, SEEDED);
    assert.equal(response.status, 400);
    const { error } = (await response.json()) as { error: { param: string } };
    assert.equal(error.param, 'seed');
    assert.equal(response.headers.get('x-llmrouter-deployment'), 'none');
    assert.equal(response.headers.get('x-llmrouter-attempts'), '0');
    assert.equal(upstream.requests.length, 0);
  });
});
