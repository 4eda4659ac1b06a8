import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../../src/errors.ts';
import type { LlmPhases } from '../../src/pipeline/types.ts';
import type { MaskSpan } from '../../src/plugin-api/evaluator.ts';
import type { LlmResponse } from '../../src/plugin-api/llm.ts';
import { chat, dataOf, deployment, post, postTo, type ServedPlane, serve } from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import { anthropicMessage, responseOf, responseStream, textStream, typed } from '../support/streams.ts';
import {
  chatStream,
  DONE,
  delta,
  event,
  type Script,
  startUpstream,
  stream,
  type Upstream,
} from '../support/upstream.ts';

type Judge = (response: LlmResponse) => readonly MaskSpan[] | undefined;

const SECRET = 'the secret';
const ASK = chat({ stream: true });

describe('a stream that block evaluators judge', () => {
  it('leaves while it comes, as far as it is judged and behind the window', async (t) => {
    const letters = 'abcdefghij'.repeat(4);
    const gate = Promise.withResolvers<void>();
    const parts = [...letters].map(delta);
    const { url } = await gateway(
      t,
      { window: 10 },
      stream([...parts, DONE], (written) => (written === letters.length ? gate.promise : nextTurn())),
    );
    const response = await post(url, ASK);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let body = '';
    while (textOf(body).length < letters.length - 12) {
      body += Buffer.from((await reader.read()).value ?? []).toString();
      assert.ok(textOf(body).length <= letters.length - 10);
    }
    gate.resolve();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      body += Buffer.from(read.value).toString();
    }
    assert.equal(body, parts.join('') + DONE);
  });

  it('never leaves with a part of what is refused, however its pieces are cut', async (t) => {
    const { url, upstream } = await gateway(t, { window: SECRET.length, judge: refuseSecret });
    await fc.assert(
      fc.asyncProperty(
        fc.string({ maxLength: 60 }),
        fc.string({ maxLength: 60 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        fc.constantFrom('content', 'reasoning_content', 'refusal'),
        async (before, after, sizes, member) => {
          const said = `${before.replaceAll('t', '')}${SECRET}${after}`;
          upstream.answer(stream([...cut(said, sizes).map((text) => piece({ [member]: text })), DONE]));
          const response = await post(url, ASK);
          const body = await response.text();
          if (response.status === 200) {
            const data = dataOf(body);
            assert.equal(JSON.parse(data.at(-1) ?? '').error.code, 'content_filter');
            const left = data
              .slice(0, -1)
              .map((each) => JSON.parse(each).choices[0].delta[member])
              .join('');
            assert.ok(before.replaceAll('t', '').startsWith(left), left);
          } else assert.deepEqual([response.status, JSON.parse(body).error.code], [400, 'content_filter']);
          assert.ok(!body.includes(DONE));
        },
      ),
      { numRuns: 150 },
    );
  });

  it('is masked wherever its pieces are cut, and the fields around the text stay', async (t) => {
    const { url, upstream } = await gateway(t, { window: SECRET.length, judge: maskSecret });
    await fc.assert(
      fc.asyncProperty(
        fc.string({ maxLength: 40 }),
        fc.string({ maxLength: 40 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        async (before, after, sizes) => {
          const said = `${before}${SECRET}${after}${SECRET}`;
          upstream.answer(stream([...cut(said, sizes).map((text) => piece({ content: text, x: 1 })), DONE]));
          const body = await (await post(url, ASK)).text();
          assert.equal(textOf(body), `${before}***${after}***`);
          assert.ok(
            dataOf(body)
              .slice(0, -1)
              .every((each) => JSON.parse(each).choices[0].delta.x === 1),
          );
          assert.ok(body.endsWith(DONE));
        },
      ),
      { numRuns: 150 },
    );
  });

  for (const [path, parts, whole] of [
    ['/v1/completions', textStream(['one the sec', 'ret', ' two']), null],
    ['/v1/responses', responseStream(['one the sec', 'ret', ' two']), responseOf('one *** two')],
  ] as const) {
    it(`is masked on ${path}, where it repeats its text too`, async (t) => {
      const { url } = await gateway(t, { judge: maskSecret }, stream(parts));
      const body = await (await postTo(url, path, '{"model":"gpt-4o","stream":true}')).text();
      assert.ok(!body.includes('sec') && !body.includes('ret'), body);
      assert.ok(body.includes('***') && body.includes(' two'));
      if (whole !== null) assert.deepEqual(JSON.parse(dataOf(body).at(-1) ?? '').response, whole);
    });
  }

  it('goes on byte for byte when nobody minds', async (t) => {
    for (const window of [0, 3, 256, Number.POSITIVE_INFINITY]) {
      const parts = [': hello\n\n', ...chatStream(['one', ' two', ' three']), ''];
      const { url } = await gateway(t, { window }, stream(parts));
      assert.equal(await (await post(url, ASK)).text(), parts.join(''));
    }
  });

  it('is judged with the text so far, and once with the whole', async (t) => {
    const seen: LlmResponse[] = [];
    const judge: Judge = (response) => void seen.push(response);
    const words = Array.from({ length: 30 }, (_, at) => ` w${at}`);
    const { url } = await gateway(t, { window: 16, judge }, stream(chatStream(words)));
    await (await post(url, ASK)).text();
    const whole = words.join('');
    assert.ok(seen.length > 2, `${seen.length}`);
    assert.ok(seen.every(({ text }) => whole.startsWith(text)));
    assert.deepEqual(
      seen.map(({ final }) => final),
      [...Array.from({ length: seen.length - 1 }, () => false), true],
    );
    assert.deepEqual([seen.at(-1)?.text, seen.at(-1)?.usage?.totalTokens], [whole, 12]);
    assert.equal(contentOf(seen.at(-1)), whole);
  });

  it('shows the body so far to those who look at it', async (t) => {
    const bodies: string[] = [];
    const judge: Judge = (response) => void bodies.push(`${response.text}|${contentOf(response)}`);
    const { url } = await gateway(
      t,
      { window: 4, judge },
      stream(chatStream(['one', ' two', ' three', ' four'])),
    );
    await (await post(url, ASK)).text();
    assert.ok(bodies.length > 1);
    for (const each of bodies) assert.equal(each.split('|')[0], each.split('|')[1]);
  });

  it('is judged once when all of it is held back, and answers a refusal with its status', async (t) => {
    const finals: boolean[] = [];
    const judge: Judge = (response) => {
      finals.push(response.final);
      return refuseSecret(response);
    };
    const words = [...Array.from({ length: 100 }, () => 'a long answer '), SECRET];
    const { url } = await gateway(t, { window: Number.POSITIVE_INFINITY, judge }, stream(chatStream(words)));
    const response = await post(url, ASK);
    assert.equal(response.status, 400);
    assert.ok(!(await response.text()).includes('long'));
    assert.deepEqual(finals, [true]);
  });

  it('is judged again only when the evaluator has answered, with all that has come meanwhile', async (t) => {
    const texts: string[] = [];
    const first = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const judge = async ({ text }: LlmResponse): Promise<undefined> => {
      texts.push(text);
      first.resolve();
      if (texts.length === 1) await gate.promise;
    };
    const between = async (written: number): Promise<void> => {
      if (written === 1) await first.promise;
      if (written === 4) gate.resolve();
      await nextTurn();
    };
    const parts = [delta('a'), delta('b'), delta('c'), delta('d'), DONE];
    const { url } = await gateway(t, { window: 0, judge }, stream(parts, between));
    assert.equal(await (await post(url, ASK)).text(), parts.join(''));
    assert.deepEqual([texts[0], texts.at(-1)], ['a', 'abcd']);
    assert.ok(texts.length <= 4, texts.join());
  });

  it('with several choices waits for each of them', async (t) => {
    const say = (index: number, content: string): string =>
      event({ choices: [{ index, delta: { content }, finish_reason: null }] });
    const end = (index: number): string => event({ choices: [{ index, delta: {}, finish_reason: 'stop' }] });
    const filler = Array.from({ length: 30 }, () => say(1, 'xxxx'));
    const parts = [say(0, 'the sec'), ...filler, say(0, 'ret'), end(0), end(1), DONE];
    const { url } = await gateway(t, { window: 10, judge: refuseSecret }, stream(parts));
    const body = await (await post(url, ASK)).text();
    assert.ok(!body.includes('the sec'), body);
    const harmless = [say(0, 'short'), end(0), ...filler, end(1), DONE];
    const other = await gateway(t, { window: 10, judge: refuseSecret }, stream(harmless));
    assert.equal(await (await post(other.url, ASK)).text(), harmless.join(''));
  });

  it('judges the arguments of tools as they come', async (t) => {
    const call = (fields: object): string => piece({ tool_calls: [{ index: 0, ...fields }] });
    const parts = [
      call({ id: 'c', type: 'function', function: { name: 'f', arguments: '' } }),
      call({ function: { arguments: '{"q":"the sec' } }),
      call({ function: { arguments: 'ret"}' } }),
      DONE,
    ];
    const { url } = await gateway(t, { judge: maskSecret }, stream(parts));
    const body = await (await post(url, ASK)).text();
    const args = dataOf(body)
      .slice(0, -1)
      .map((each) => JSON.parse(each).choices[0].delta.tool_calls[0].function.arguments);
    assert.equal(args.join(''), '{"q":"***"}');
  });

  it('is masked on /v1/messages, thoughts and the input of tools too', async (t) => {
    const block = (index: number, start: object, ...deltas: object[]): string[] => [
      typed('content_block_start', { index, content_block: start }),
      ...deltas.map((each) => typed('content_block_delta', { index, delta: each })),
      typed('content_block_stop', { index }),
    ];
    const thought = (thinking: string): object => ({ type: 'thinking_delta', thinking });
    const input = (json: string): object => ({ type: 'input_json_delta', partial_json: json });
    const parts = [
      typed('message_start', { message: anthropicMessage('', { content: [], stop_reason: null }) }),
      ...block(0, { type: 'thinking', thinking: '', signature: '' }, thought('the s'), thought('ecret?')),
      ...block(
        1,
        { type: 'tool_use', id: 't', name: 'f', input: {} },
        input('{"q":"the se'),
        input('cret","n":1}'),
      ),
      typed('message_delta', { delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 3 } }),
      typed('message_stop'),
    ];
    const { url, upstream } = await gateway(t, { judge: maskSecret, provider: 'anthropic' }, stream(parts));
    const ask = { model: 'gpt-4o', max_tokens: 9, messages: [] };
    const body = await (await postTo(url, '/v1/messages', JSON.stringify({ ...ask, stream: true }))).text();
    assert.equal(
      body,
      [
        parts[0],
        ...block(0, { type: 'thinking', thinking: '', signature: '' }, thought('***'), thought('?')),
        ...block(
          1,
          { type: 'tool_use', id: 't', name: 'f', input: {} },
          input('{"q":"***'),
          input('","n":1}'),
        ),
        ...parts.slice(-2),
      ].join(''),
    );
    upstream.answer(stream(parts));
    const whole = await (await postTo(url, '/v1/messages', JSON.stringify(ask))).json();
    assert.partialDeepStrictEqual(whole, {
      content: [{ thinking: '***?' }, { id: 't', name: 'f', input: { q: '***', n: 1 } }],
    });
  });

  it('that breaks leaves nothing unjudged', async (t) => {
    const { url } = await gateway(t, {}, stream([delta('half'), delta(' an answer')]));
    const response = await post(url, ASK);
    assert.equal(response.status, 502);
    assert.ok(!(await response.text()).includes('half'));
  });

  it('that has no end is given up before it fills the memory', async (t) => {
    const { url } = await gateway(
      t,
      { window: Number.POSITIVE_INFINITY },
      stream(Array.from({ length: 66 }, () => delta('x'.repeat(1024 * 1024)))),
    );
    const response = await post(url, ASK);
    assert.equal(response.status, 502);
    assert.match(await response.text(), /sent an answer that is too large/);
  });

  it('ends its upstream when it is refused on the way', async (t) => {
    const { url, upstream } = await gateway(
      t,
      { window: 0, judge: refuseSecret },
      (_request, res) =>
        void res.writeHead(200, { 'content-type': 'text/event-stream' }).write(delta('fine') + delta(SECRET)),
    );
    const next = upstream.nextRequest();
    const body = await (await post(url, ASK)).text();
    assert.ok(body.includes('content_filter'));
    await (await next).aborted;
  });
});

const refuseSecret: Judge = ({ text }) => {
  if (text.includes(SECRET)) throw new GatewayError('content_filter', 'refused');
  return undefined;
};

const maskSecret: Judge = ({ text }) =>
  [...text.matchAll(new RegExp(SECRET, 'g'))].map(({ index }) => ({
    start: index,
    end: index + SECRET.length,
    replacement: '***',
  }));

function piece(fields: object): string {
  return event({ choices: [{ index: 0, delta: fields, finish_reason: null }] });
}

/** Cuts a text into pieces of those sizes, again and again. */
function cut(text: string, sizes: readonly number[]): string[] {
  const pieces: string[] = [];
  for (let at = 0, turn = 0; at < text.length; turn++) {
    const size = sizes[turn % sizes.length] as number;
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  return pieces;
}

/** What the first choice of a chat stream has said. */
function textOf(sse: string): string {
  return sse
    .split('\n\n')
    .slice(0, -1)
    .flatMap((each) => dataOf(each))
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data).choices?.[0]?.delta.content ?? '')
    .join('');
}

function contentOf(response: LlmResponse | undefined): unknown {
  const [choice] = (response?.body.choices ?? []) as { message: { content: string } }[];
  return choice?.message.content;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

interface Setup {
  readonly window?: number;
  readonly provider?: string;
  readonly judge?: (response: LlmResponse) => ReturnType<Judge> | Promise<ReturnType<Judge>>;
}

async function gateway(
  t: TestContext,
  { window = 256, provider = 'openai', judge = () => undefined }: Setup,
  script: Script = stream([]),
): Promise<ServedPlane & { readonly upstream: Upstream }> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  const llm: Partial<LlmPhases> = {
    evaluateOutput: async (_request, response) => judge(response),
    outputWindow: window,
  };
  const served = await serve(t, {
    deployments: [deployment(upstream.url, { provider })],
    pipeline: emptyPipeline({ llm }),
  });
  return { ...served, upstream };
}
