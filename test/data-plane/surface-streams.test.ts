import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../../src/errors.ts';
import type { LlmPhases } from '../../src/pipeline/types.ts';
import type { CallRecord } from '../../src/plugin-api/exporter.ts';
import type { LlmResponse } from '../../src/plugin-api/llm.ts';
import { dataOf, deployment, postTo, type ServedPlane, serve } from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import {
  anthropicMessage,
  anthropicStream,
  responseOf,
  responseStream,
  textStream,
  typed,
} from '../support/streams.ts';
import { cutStream, json, type Script, startUpstream, stream, type Upstream } from '../support/upstream.ts';

const WORDS = ['one', ' two', ' thrée 😀'];
const SAID = WORDS.join('');
const BODY = bodyFor('gpt-4o');
const USAGE = { promptTokens: 9, completionTokens: 3, totalTokens: 12 };
const TEXT = { choices: [{ index: 0, text: SAID, logprobs: null, finish_reason: 'stop' }] };
const LAST_TYPES = ['response.completed', 'response.failed', 'response.incomplete'];

const SURFACES: readonly [path: string, parts: string[], end: string, whole: object][] = [
  ['/v1/completions', textStream(WORDS), 'data: [DONE]\n\n', TEXT],
  [
    '/v1/responses',
    responseStream(WORDS),
    typed('response.completed', { response: responseOf(SAID) }),
    responseOf(SAID),
  ],
  ['/v1/messages', anthropicStream(WORDS), typed('message_stop'), anthropicMessage(SAID)],
];

for (const [path, parts, end, whole] of SURFACES) {
  const bytes = Buffer.from(parts.join(''));
  const model = path === '/v1/messages' ? 'claude' : 'gpt-4o';
  const request = bodyFor(model);

  describe(`a stream of ${path}`, () => {
    it('reaches the client byte for byte, wherever its chunks begin', async (t) => {
      const { url, upstream } = await gateway(t, stream(parts));
      await fc.assert(
        fc.asyncProperty(fc.nat(bytes.length), fc.nat(bytes.length), async (a, b) => {
          const [from, to] = [Math.min(a, b), Math.max(a, b)];
          upstream.answer(stream([bytes.subarray(0, from), bytes.subarray(from, to), bytes.subarray(to)]));
          assert.equal(await (await postTo(url, path, request)).text(), bytes.toString());
        }),
        { numRuns: 40 },
      );
    });

    it('that is cut anywhere ends in an error event and never in its own end', async (t) => {
      const { url, upstream } = await gateway(t);
      const complete = bytes.length - 2;
      await fc.assert(
        fc.asyncProperty(fc.nat(complete - 1), fc.boolean(), async (cut, clean) => {
          const part = [bytes.subarray(0, cut)];
          upstream.answer(clean ? stream(part) : cutStream(part));
          await assertBroken(await postTo(url, path, request), end);
        }),
        { numRuns: 60 },
      );
      upstream.answer(cutStream([bytes.subarray(0, complete)]));
      assert.equal(await (await postTo(url, path, request)).text(), bytes.toString());
    });

    it('tells its usage to the record', async (t) => {
      const records: CallRecord[] = [];
      const { url } = await gateway(t, stream(parts), {}, (record) => void records.push(record));
      await (await postTo(url, path, request)).text();
      assert.deepEqual([records[0]?.usage, records[0]?.stream], [USAGE, true]);
    });

    it('is put together for those who judge it, held back when they may refuse it', async (t) => {
      const seen: LlmResponse[] = [];
      const { url } = await gateway(t, stream(parts), {
        evaluateOutput: async (_request, response) => void seen.push(response),
      });
      assert.equal(await (await postTo(url, path, request)).text(), bytes.toString());
      assert.deepEqual([seen[0]?.text, seen[0]?.usage], [SAID, USAGE]);
      const refusing = await gateway(t, stream(parts), {
        evaluateOutput: async () => {
          throw new GatewayError('content_filter', 'refused');
        },
      });
      const refused = await postTo(refusing.url, path, request);
      assert.equal(refused.status, 400);
      assert.ok(!(await refused.text()).includes('one'));
    });

    it('goes through onChunk event by event, its end after everybody has agreed', async (t) => {
      const { url } = await gateway(t, stream(parts), {
        onChunk: async (_request, event) => [
          'text' in event ? { ...event, text: event.text.replaceAll('two', '***') } : event,
        ],
      });
      const body = await (await postTo(url, path, request)).text();
      assert.equal(body, bytes.toString().replaceAll('two', '***'));
      const failing = await gateway(t, stream(parts), {
        onResponse: async () => {
          throw new GatewayError('content_filter', 'refused');
        },
      });
      const cut = await (await postTo(failing.url, path, request)).text();
      assert.ok(!cut.includes(end));
      assert.equal(JSON.parse(dataOf(cut).at(-1) ?? '').error.code, 'content_filter');
    });

    it('is put together when nobody asked for it', async (t) => {
      const { url } = await gateway(t, stream(parts));
      const response = await postTo(url, path, JSON.stringify({ model }));
      assert.equal(response.headers.get('content-type'), 'application/json');
      assert.partialDeepStrictEqual(await response.json(), whole);
    });

    it('is made of an answer in one piece', async (t) => {
      const seen: string[] = [];
      const { url } = await gateway(t, json({ ...responseOf(SAID), ...whole, usage: undefined }), {
        evaluateOutput: async (_request, { text }) => void seen.push(text),
      });
      const body = await (await postTo(url, path, request)).text();
      assert.ok(body.includes('one two'));
      assert.deepEqual(seen, [SAID]);
    });
  });
}

describe('a stream of /v1/responses', () => {
  it('ends with any of the events that end one, and with nothing behind it', async (t) => {
    for (const last of LAST_TYPES) {
      const whole = responseStream(WORDS, last).join('');
      const { url, upstream } = await gateway(t);
      for (const script of [stream([whole]), cutStream([whole]), stream([`${whole}data: [DONE]\n\n`])]) {
        upstream.answer(script);
        assert.equal(await (await postTo(url, '/v1/responses', BODY)).text(), whole);
      }
    }
  });

  it('is not complete because its text speaks of an end', async (t) => {
    const delta = 'event: response.completed\ndata: {"type":"response.completed"}\n\n';
    const { url } = await gateway(t, stream([typed('response.output_text.delta', { delta })]));
    const response = await postTo(url, '/v1/responses', BODY);
    const data = dataOf(await response.text());
    assert.equal(data.length, 2);
    const error = JSON.parse(data[1] ?? '');
    assert.deepEqual(
      [error.type, error.code, error.error.code],
      ['error', 'upstream_error', 'upstream_error'],
    );
  });

  it('shows its judges the items when the last event leaves them out', async (t) => {
    const seen: string[] = [];
    const parts = [
      ...responseStream(WORDS).slice(0, -1),
      typed('response.completed', { response: responseOf('', { output: [] }) }),
    ];
    const { url } = await gateway(t, stream(parts), {
      evaluateOutput: async (_request, { text }) => void seen.push(text),
    });
    await (await postTo(url, '/v1/responses', BODY)).text();
    assert.deepEqual(seen, [SAID]);
  });
});

function bodyFor(model: string): string {
  return JSON.stringify({ model, stream: true, stream_options: { include_usage: true } });
}

async function assertBroken(response: Response, end: string): Promise<void> {
  const body = await response.text();
  assert.ok(!body.includes(end), body);
  if (response.status === 200)
    assert.equal(JSON.parse(dataOf(body).at(-1) ?? '').error.code, 'upstream_error');
  else assert.deepEqual([response.status, JSON.parse(body).error.code], [502, 'upstream_error']);
}

async function gateway(
  t: TestContext,
  script: Script = stream([]),
  llm: Partial<LlmPhases> = {},
  exporter: ((record: CallRecord) => void) | null = null,
): Promise<ServedPlane & { readonly upstream: Upstream }> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  const served = await serve(t, {
    deployments: [
      deployment(upstream.url),
      deployment(upstream.url, { group: 'claude', provider: 'anthropic' }),
    ],
    pipeline: emptyPipeline({ llm, export: exporter }),
  });
  return { ...served, upstream };
}
