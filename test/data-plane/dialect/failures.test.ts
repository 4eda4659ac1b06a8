import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../../../src/errors.ts';
import type { LlmEvent } from '../../../src/plugin-api/llm-event.ts';
import { dataOf, postTo, routing } from '../../support/data-plane.ts';
import { emptyPipeline } from '../../support/pipeline.ts';
import { typed } from '../../support/streams.ts';
import { cutStream, event, hangUp, json, stream, text } from '../../support/upstream.ts';
import { says } from './answers.ts';
import { gateway, PAIRS } from './pairs.ts';
import { ANSWERS } from './scenarios.ts';

const CLIENT_PATHS: Readonly<Record<string, string>> = {
  chat: '/v1/chat/completions',
  responses: '/v1/responses',
  messages: '/v1/messages',
};

const ENDS: Readonly<Record<string, RegExp>> = {
  chat: /\[DONE\]|"finish_reason":"/,
  responses: /response\.(completed|incomplete|failed)/,
  messages: /message_stop/,
};

for (const pair of PAIRS) {
  const { client, vendor, path } = pair;
  const clientPath = CLIENT_PATHS[client.name] as string;
  const end = ENDS[client.name] as RegExp;
  const isAnthropic = path === '/v1/messages';
  const events = vendor.events(ANSWERS.tools);
  const bytes = Buffer.from(events.join(''));
  const whole = JSON.stringify({ ...client.bodies.tools, model: 'the-model' });
  const streamed = JSON.stringify({ ...client.bodies.tools, model: 'the-model', stream: true });
  const ask = (url: string, body = streamed): Promise<Response> => postTo(url, clientPath, body);

  describe(`an upstream that speaks ${path}, for a client of ${client.name},`, () => {
    it('gives the same events wherever its bytes are cut', async (t) => {
      const { url, upstream } = await gateway(t, pair, stream([bytes]));
      const expected = timeless(await (await ask(url)).text());
      await fc.assert(
        fc.asyncProperty(fc.nat(bytes.length), fc.nat(bytes.length), async (a, b) => {
          const [from, to] = [Math.min(a, b), Math.max(a, b)];
          upstream.answer(stream([bytes.subarray(0, from), bytes.subarray(from, to), bytes.subarray(to)]));
          assert.equal(timeless(await (await ask(url)).text()), expected);
        }),
        { numRuns: 25 },
      );
    });

    it('ends in an error event and never in an end when it breaks off anywhere', async (t) => {
      const { url, upstream } = await gateway(t, pair, stream([]));
      const last = bytes.length - (events.at(-1) as string).length;
      await fc.assert(
        fc.asyncProperty(fc.nat(last), fc.boolean(), fc.boolean(), async (cut, clean, inOnePiece) => {
          const part = [bytes.subarray(0, cut)];
          upstream.answer(clean ? stream(part) : cutStream(part));
          const response = await ask(url, inOnePiece ? whole : streamed);
          const answer = await response.text();
          assert.doesNotMatch(answer, end);
          assert.equal(codeIn(response, answer), 'upstream_error');
        }),
        { numRuns: 40 },
      );
    });

    it('is complete with its last event, whatever becomes of the blank line behind it', async (t) => {
      const { url, upstream } = await gateway(t, pair, stream([bytes]));
      const expected = timeless(await (await ask(url)).text());
      const part = [bytes.subarray(0, bytes.length - 2)];
      for (const script of [stream(part), cutStream(part)]) {
        upstream.answer(script);
        assert.equal(timeless(await (await ask(url)).text()), expected);
      }
    });

    it('fails when it reports a failure, without its secrets', async (t) => {
      const failure = { type: 'overloaded_error', message: 'Too much for test-key-0123456789' };
      const told = isAnthropic ? typed('error', { error: failure }) : event({ error: failure, choices: [] });
      for (const before of [0, 5]) {
        const { url } = await gateway(t, pair, stream([...events.slice(0, before), told]));
        const response = await ask(url);
        const answer = await response.text();
        assert.equal(response.status, before === 0 ? 502 : 200);
        assert.equal(codeIn(response, answer), 'upstream_error');
        assert.match(answer, /Too much for \[redacted\]/);
        assert.doesNotMatch(answer, end);
      }
    });

    it('fails when what it says is no answer', async (t) => {
      const sorry = json({ error: { message: 'Sorry' } });
      const scripts = [
        json({}),
        sorry,
        json([]),
        text('<html>', 200, 'text/html'),
        stream(['data: {"choices"\n\n']),
        stream(['data: 7\n\n']),
        hangUp,
      ];
      for (const script of scripts) {
        const { url } = await gateway(t, pair, script);
        for (const body of [whole, streamed]) {
          const response = await ask(url, body);
          const answer = await response.text();
          assert.deepEqual([response.status, codeIn(response, answer)], [502, 'upstream_error']);
          if (script === sorry) assert.match(answer, /Sorry/);
        }
      }
    });

    it("answers with its errors in the client's dialect", async (t) => {
      const said = { type: 'error', error: { type: 'invalid_request_error', message: 'prompt is too long' } };
      for (const [script, status, code] of [
        [json(said, 400), 400, 'invalid_request'],
        [json(said, 401), 502, 'upstream_error'],
        [json(said, 429, { 'retry-after': '7' }), 429, 'rate_limit_exceeded'],
        [json(said, 500), 502, 'upstream_error'],
      ] as const) {
        const { url } = await gateway(t, pair, script);
        const response = await ask(url);
        const body = (await response.json()) as { type?: string; error: { message: string; code?: string } };
        assert.deepEqual([response.status, body.error.code], [status, code]);
        assert.equal(body.type, client.name === 'messages' ? 'error' : undefined);
        if (status === 400) assert.equal(body.error.message, 'prompt is too long');
        if (status === 429) assert.equal(response.headers.get('retry-after'), '7');
      }
    });

    it('is asked again as long as nothing has gone out', async (t) => {
      const setup = { routing: routing({ numRetries: 1 }) };
      const { url, upstream } = await gateway(t, pair, json({}, 500), setup);
      for (const failing of [json({}, 500), json({}), stream([]), stream(['data: {\n\n'])]) {
        upstream.answer(failing, says(vendor, ANSWERS.tools));
        const response = await ask(url);
        assert.equal(response.headers.get('x-llmrouter-attempts'), '2');
        assert.match(await response.text(), end);
      }
    });

    it('is stopped when the client goes', async (t) => {
      const { url, upstream } = await gateway(t, pair, async (_request, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        res.write(events.slice(0, 4).join(''));
      });
      const aborter = new AbortController();
      const asked = upstream.nextRequest();
      const response = await postTo(url, clientPath, streamed, {}, aborter.signal);
      await response.body?.getReader().read();
      aborter.abort();
      await (await asked).aborted;
    });

    it('is seen by hooks as any other', async (t) => {
      const seen: LlmEvent[] = [];
      const texts: string[] = [];
      const pipeline = emptyPipeline({
        llm: {
          onChunk: async (_request, chunk) => {
            seen.push(chunk);
            return [chunk];
          },
          observeOutput: (_request, { text: said }) => void texts.push(said),
        },
      });
      const plain = await gateway(t, pair, says(vendor, ANSWERS.tools));
      const { url } = await gateway(t, pair, says(vendor, ANSWERS.tools), { pipeline });
      const answer = await (await ask(url)).text();
      assert.equal(timeless(answer), timeless(await (await ask(plain.url)).text()));
      const said = seen.map((chunk) => (chunk.type === 'text' ? chunk.text : '')).join('');
      assert.equal(said, 'Looking it up.');
      assert.match(texts.join(), /Looking it up\..*Rome/s);
    });

    it('is judged before anything leaves', async (t) => {
      const refuse = async (): Promise<never> => {
        throw new GatewayError('content_filter', 'refused');
      };
      const pipeline = emptyPipeline({ llm: { evaluateOutput: refuse as never } });
      const { url } = await gateway(t, pair, says(vendor, ANSWERS.tools), { pipeline });
      for (const body of [whole, streamed]) {
        const response = await ask(url, body);
        const answer = await response.text();
        assert.doesNotMatch(answer, /Looking it up/);
        assert.equal(codeIn(response, answer), 'content_filter');
      }
    });
  });
}

/** The code of an error, whether it came as the answer or as the last event of one. */
function codeIn(response: Response, body: string): string | undefined {
  const last = response.status === 200 ? (dataOf(body).at(-1) ?? '{}') : body;
  return (JSON.parse(last) as { error?: { code?: string } }).error?.code;
}

/** Anthropic's events do not say when they were made. */
function timeless(events: string): string {
  return events.replace(/"created(_at)?":\d+/g, '"created":0');
}
