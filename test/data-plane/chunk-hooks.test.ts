import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import type { LlmPhases } from '../../src/pipeline/types.ts';
import type { LlmDelta, LlmEvent } from '../../src/plugin-api/llm-event.ts';
import { chat, dataOf, deployment, post, postTo, serve } from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import { responseOf, responseStream, typed } from '../support/streams.ts';
import {
  COMPLETION,
  chatStream,
  cutStream,
  DONE,
  delta,
  event,
  json,
  type Script,
  startUpstream,
  stream,
} from '../support/upstream.ts';

type OnChunk = NonNullable<LlmPhases['onChunk']>;
type Hook = (event: LlmEvent) => LlmEvent | LlmDelta | readonly (LlmEvent | LlmDelta)[] | null;

const RESPONSES = '/v1/responses';
const ASK_RESPONSES = '{"model":"gpt-4o","stream":true}';

describe('the events of an answer', () => {
  const call = (fields: object): string =>
    event({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...fields }] } }] });
  const parts = [
    event({ choices: [{ index: 0, delta: { role: 'assistant', content: '' } }] }),
    event({ choices: [{ index: 0, delta: { reasoning_content: 'hm' } }] }),
    delta('one'),
    call({ id: 'call_1', type: 'function', function: { name: 'now', arguments: '' } }),
    call({ function: { arguments: '{}' } }),
    event({ choices: [{ index: 1, delta: { content: 'other', refusal: 'no' } }] }),
    event({ choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] }),
    event({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 } }),
    event({ error: { message: 'late', code: 'x' } }),
    DONE,
  ];

  it('come in one form, each with the event of the surface', async (t) => {
    const seen: LlmEvent[] = [];
    const url = await gateway(t, noting(seen), stream(parts));
    assert.equal(await (await post(url, chat({ stream: true }))).text(), parts.join(''));
    assert.deepEqual(seen.map(withoutRaw), [
      { type: 'other', choice: 0 },
      { type: 'first-token', choice: 0 },
      { type: 'reasoning', choice: 0, index: 0, text: 'hm' },
      { type: 'text', choice: 0, index: 0, text: 'one' },
      { type: 'tool-input', choice: 0, index: 0, id: 'call_1', name: 'now', text: '' },
      { type: 'tool-input', choice: 0, index: 0, id: 'call_1', name: 'now', text: '{}' },
      { type: 'text', choice: 1, index: 0, text: 'other' },
      { type: 'text', choice: 1, index: 1, text: 'no' },
      { type: 'finish', choice: 0, reason: 'tool-calls' },
      { type: 'usage', choice: 0, usage: { promptTokens: 9, completionTokens: 3, totalTokens: 12 } },
      { type: 'error', choice: 0, message: 'late', code: 'x' },
    ]);
    assert.deepEqual(seen[3]?.raw, JSON.parse(dataOf(parts[2] ?? '')[0] ?? ''));
    assert.ok(seen.every((each) => Object.isFrozen(each) && Object.isFrozen(each.raw)));
  });

  it('are the same when the answer is not streamed, with the whole texts', async (t) => {
    const seen: LlmEvent[] = [];
    const url = await gateway(t, noting(seen), json(COMPLETION));
    await (await post(url, chat())).text();
    assert.deepEqual(seen.map(withoutRaw), [
      { type: 'first-token', choice: 0 },
      { type: 'text', choice: 0, index: 0, text: 'Hello from upstream' },
      { type: 'usage', choice: 0, usage: { promptTokens: 9, completionTokens: 3, totalTokens: 12 } },
      { type: 'finish', choice: 0, reason: 'stop' },
    ]);
    assert.deepEqual(seen[0]?.raw, COMPLETION);
  });

  it('come once, although a stream of responses repeats its texts', async (t) => {
    const seen: LlmEvent[] = [];
    const url = await gateway(t, noting(seen), stream(responseStream(['one', ' two'])));
    await (await postTo(url, RESPONSES, ASK_RESPONSES)).text();
    assert.deepEqual(
      seen.filter(({ type }) => type !== 'other').map((each) => ('text' in each ? each.text : each.type)),
      ['usage', 'first-token', 'one', ' two', 'usage', 'finish'],
    );
  });
});

describe('onChunk', () => {
  it('may change and drop events; what it leaves goes on as it came', async (t) => {
    const parts = [': ping\n\n', delta('one'), delta('secret'), delta('drop'), delta('two'), DONE];
    const url = await gateway(
      t,
      onText((text) => (text === 'drop' ? null : text.replace('secret', '***'))),
      stream(parts),
    );
    const body = await (await post(url, chat({ stream: true }))).text();
    assert.equal(body, `: ping\n\n${delta('one')}${delta('***')}${delta('two')}${DONE}`);
  });

  it('keeps the fields that it does not know, and drops the log probabilities of a text that it changes', async (t) => {
    const choice = { index: 0, delta: { content: 'secret', x: 1 }, logprobs: { content: [] }, y: 2 };
    const url = await gateway(
      t,
      onText(() => 'safe'),
      stream([event({ choices: [choice], z: 3 }), DONE]),
    );
    const [data] = dataOf(await (await post(url, chat({ stream: true }))).text());
    const { choices, z } = JSON.parse(data ?? '');
    assert.deepEqual(
      [choices, z],
      [[{ index: 0, delta: { content: 'safe', x: 1 }, logprobs: null, y: 2 }], 3],
    );
  });

  it('changes an answer that is not streamed', async (t) => {
    const url = await gateway(
      t,
      onText((text) => text.replace('upstream', '***')),
      json(COMPLETION),
    );
    const body = (await (await post(url, chat())).json()) as typeof COMPLETION;
    assert.deepEqual(body, {
      ...COMPLETION,
      choices: [{ ...COMPLETION.choices[0], message: { role: 'assistant', content: 'Hello from ***' } }],
    });
  });

  it('may hold text back and let it go with a later piece', async (t) => {
    let held = '';
    const hook = onText((text) => {
      held += text;
      if (!held.endsWith('.')) return null;
      const sentence = held;
      held = '';
      return sentence;
    });
    const url = await gateway(t, hook, stream([delta('a'), delta('b.'), delta('c.'), DONE]));
    const body = await (await post(url, chat({ stream: true }))).text();
    assert.equal(body, `${delta('ab.')}${delta('c.')}${DONE}`);
  });

  for (const [path, ask, parts, deltaOf] of [
    ['/v1/chat/completions', chat({ stream: true }), chatStream(['se', 'cret']), /"content":"secret"/],
    [RESPONSES, ASK_RESPONSES, responseStream(['se', 'cret']), /"delta":"secret"/],
  ] as const) {
    it(`may let it go at the finish, in an event of ${path} that comes before`, async (t) => {
      const held: string[] = [];
      const url = await gateway(
        t,
        (each) => {
          if (each.type === 'text') held.push(each.text);
          if (each.type === 'text') return null;
          if (each.type !== 'finish') return each;
          return [{ type: 'text', choice: 0, index: 0, text: held.join('') }, each];
        },
        stream(parts),
      );
      const body = await (await postTo(url, path, ask)).text();
      assert.match(body, deltaOf);
      assert.ok(body.indexOf('secret') < body.search(/"finish_reason":"stop"|output_item.done/), body);
      assert.ok(!body.includes('"se"'));
    });
  }

  it('loses and doubles nothing, wherever a hook cuts the text anew', async (t) => {
    const upstream = await startUpstream();
    t.after(() => upstream.close());
    let kept = '';
    let keep: readonly number[] = [];
    const onChunk: OnChunk = async (_request, each) => {
      if (each.type === 'finish') return [{ type: 'text', choice: 0, index: 0, text: kept }, each];
      if (each.type !== 'text') return [each];
      const all = kept + each.text;
      const end = Math.max(0, all.length - (keep[all.length % keep.length] as number));
      kept = all.slice(end);
      return end === 0 ? [] : [{ ...each, text: all.slice(0, end) }];
    };
    const pipeline = emptyPipeline({ llm: { onChunk } });
    const { url } = await serve(t, { deployments: [deployment(upstream.url)], pipeline });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ minLength: 1, maxLength: 5 }), { minLength: 1 }),
        fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1 }),
        async (words, sizes) => {
          [kept, keep] = ['', sizes];
          upstream.answer(stream(chatStream(words)));
          const data = dataOf(await (await post(url, chat({ stream: true }))).text()).slice(0, -1);
          const said = data.map((each) => JSON.parse(each).choices[0]?.delta.content ?? '').join('');
          assert.equal(said, words.join(''));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('changes what a stream of responses repeats of a text too', async (t) => {
    const url = await gateway(
      t,
      onText((text) => text.replace('two', '***')),
      stream(responseStream(['one ', 'two'])),
    );
    const body = await (await postTo(url, RESPONSES, ASK_RESPONSES)).text();
    assert.ok(!body.includes('two'));
    const last = JSON.parse(dataOf(body).at(-1) ?? '');
    assert.deepEqual(last, { type: 'response.completed', response: responseOf('one ***') });
  });

  it('cannot drop the end of a stream', async (t) => {
    const url = await gateway(t, () => null, stream(responseStream(['one'])));
    const body = await (await postTo(url, RESPONSES, ASK_RESPONSES)).text();
    assert.ok(body.endsWith(typed('response.completed', { response: responseOf('') })), body);
    assert.ok(!body.includes('output_text.delta'));
  });

  it('may not let go what it does not hold', async (t) => {
    const url = await gateway(
      t,
      (each) => (each.type === 'finish' ? [{ type: 'text', choice: 0, index: 0, text: 'more' }] : each),
      stream(chatStream(['one'])),
    );
    const last = dataOf(await (await post(url, chat({ stream: true }))).text()).at(-1) ?? '';
    assert.equal(JSON.parse(last).error.code, 'plugin_error');
  });

  it('sees every event of a stream whose chunks begin anywhere', async (t) => {
    const seen: LlmEvent[] = [];
    const bytes = Buffer.from(chatStream(['one', ' two', ' three']).join(''));
    const parts = Array.from({ length: Math.ceil(bytes.length / 7) }, (_, at) =>
      bytes.subarray(at * 7, at * 7 + 7),
    );
    const url = await gateway(t, noting(seen), stream(parts));
    await (await post(url, chat({ stream: true }))).text();
    assert.deepEqual(
      seen.map(({ type }) => type),
      ['other', 'first-token', 'text', 'text', 'text', 'finish', 'usage'],
    );
  });

  it('lets nothing pass that it cannot read', async (t) => {
    const url = await gateway(t, (each) => each, stream([delta('one'), 'data: no json\n\n', DONE]));
    const body = await (await post(url, chat({ stream: true }))).text();
    assert.equal(JSON.parse(dataOf(body).at(-1) ?? '').error.code, 'upstream_error');
    assert.ok(body.startsWith(delta('one')) && !body.includes('no json') && !body.includes(DONE));
  });

  it('does not hide that a stream was cut', async (t) => {
    const url = await gateway(t, (each) => each, cutStream([delta('one'), 'data: {"cho']));
    const data = dataOf(await (await post(url, chat({ stream: true }))).text());
    assert.equal(data.length, 2);
    assert.equal(JSON.parse(data[1] ?? '').error.code, 'upstream_error');
  });
});

function noting(seen: LlmEvent[]): Hook {
  return (each) => {
    seen.push(each);
    return each;
  };
}

/** `null` holds the piece back. */
function onText(change: (text: string) => string | null): Hook {
  return (each) => {
    if (each.type !== 'text') return each;
    const text = change(each.text);
    return text === null ? null : { ...each, text };
  };
}

function withoutRaw({ raw: _raw, ...fields }: LlmEvent): object {
  return fields;
}

async function gateway(t: TestContext, hook: Hook, script: Script): Promise<string> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  const onChunk: OnChunk = async (_request, each) => {
    const left = hook(each);
    return left === null ? [] : Array.isArray(left) ? left : [left as LlmEvent];
  };
  const { url } = await serve(t, {
    deployments: [deployment(upstream.url)],
    pipeline: emptyPipeline({ llm: { onChunk } }),
  });
  return url;
}
