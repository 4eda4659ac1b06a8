import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Candidate } from '../../src/plugin-api/routing.ts';
import { type CountedCall, costOf } from '../../src/telemetry/call-stats.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';

const CANDIDATE: Candidate = {
  id: 'fast/0',
  group: 'fast',
  model: 'gpt-4o-mini',
  provider: 'azure',
  weight: 1,
  order: null,
  rpm: null,
  tpm: null,
  inputCostPerToken: 0.5,
  outputCostPerToken: 2,
};
const CALL: CountedCall = {
  surface: { name: 'chat.completions' },
  candidate: CANDIDATE,
  stream: false,
  usage: { promptTokens: 10, completionTokens: 3, totalTokens: 13 },
  attempts: 2,
  totalMs: 300,
  firstByteMs: 300,
};
const LABELS =
  'gen_ai_operation_name="chat",gen_ai_provider_name="azure.ai.openai",gen_ai_request_model="fast",gen_ai_response_model="gpt-4o-mini"';

describe('the metrics of LLM calls', () => {
  it("carry the names and attributes of OpenTelemetry's conventions", async () => {
    const lines = await rendered([[CALL, null]]);
    assert.ok(lines.includes(`gen_ai_client_operation_duration_seconds_bucket{${LABELS},le="0.16"} 0`));
    assert.ok(lines.includes(`gen_ai_client_operation_duration_seconds_bucket{${LABELS},le="0.32"} 1`));
    assert.ok(lines.includes(`gen_ai_client_operation_duration_seconds_bucket{${LABELS},le="+Inf"} 1`));
    assert.ok(lines.includes(`gen_ai_client_operation_duration_seconds_sum{${LABELS}} 0.3`));
    assert.ok(lines.includes(`gen_ai_client_token_usage_sum{${LABELS},gen_ai_token_type="input"} 10`));
    assert.ok(lines.includes(`gen_ai_client_token_usage_sum{${LABELS},gen_ai_token_type="output"} 3`));
    assert.ok(lines.includes(`llmrouter_upstream_attempts_total{${LABELS}} 2`));
    assert.ok(lines.includes(`llmrouter_cost_usd_total{${LABELS}} 11`));
    assert.ok(lines.includes('# TYPE gen_ai_client_operation_duration_seconds histogram'));
  });

  it('tell of the first token of streams alone', async () => {
    const stream = { ...CALL, stream: true, totalMs: 500, firstByteMs: 100 };
    const lines = await rendered([
      [CALL, null],
      [stream, null],
    ]);
    assert.ok(lines.includes(`gen_ai_server_time_to_first_token_seconds_count{${LABELS}} 1`));
    assert.ok(lines.includes(`gen_ai_server_time_to_first_token_seconds_sum{${LABELS}} 0.1`));
    assert.ok(lines.includes(`gen_ai_server_time_per_output_token_seconds_sum{${LABELS}} 0.2`));
  });

  it('keep calls that failed apart, by the code of their error', async () => {
    const lines = await rendered([
      [CALL, null],
      [{ ...CALL, usage: null }, 'upstream_error'],
      [{ ...CALL, usage: null }, 'upstream_error'],
    ]);
    const count = 'gen_ai_client_operation_duration_seconds_count';
    assert.ok(lines.includes(`${count}{${LABELS}} 1`));
    assert.ok(lines.includes(`${count}{${LABELS},error_type="upstream_error"} 2`));
  });

  it('have no series for models that only a client has named', async () => {
    const call = { ...CALL, candidate: null, usage: null, attempts: 0 };
    const lines = await rendered(Array.from({ length: 50 }, () => [call, 'model_not_found'] as const));
    const series = lines.filter((line) => line.startsWith('gen_ai_client_operation_duration_seconds_count'));
    assert.deepEqual(series, [
      'gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name="chat",error_type="model_not_found"} 50',
    ]);
  });
});

describe('the cost of a call', () => {
  it('is that of its tokens at the configured prices', () => {
    assert.equal(costOf(CALL.usage, CANDIDATE), 11);
    assert.equal(costOf(CALL.usage, { ...CANDIDATE, outputCostPerToken: null }), 5);
  });

  it('is not known without usage, deployment or prices', () => {
    assert.equal(costOf(null, CANDIDATE), null);
    assert.equal(costOf(CALL.usage, null), null);
    assert.equal(
      costOf(CALL.usage, { ...CANDIDATE, inputCostPerToken: null, outputCostPerToken: null }),
      null,
    );
  });
});

async function rendered(calls: readonly (readonly [CountedCall, string | null])[]): Promise<string[]> {
  const metrics = createMetrics();
  for (const [call, error] of calls) metrics.calls.count(call, error);
  return (await metrics.render()).body.split('\n');
}
