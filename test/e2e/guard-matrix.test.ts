import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, it } from 'node:test';
import { SURFACES } from '../../src/data-plane/surface/table.ts';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import {
  anthropicMessage,
  anthropicStream,
  responseOf,
  responseStream,
  textStream,
  typed,
} from '../support/streams.ts';
import { COMPLETION, chatStream, startUpstream, type UpstreamRequest } from '../support/upstream.ts';

const SECRET = 'the secret';
const MASK = '[hidden]';
/** More than is held back of a stream, so that some of it has left when the secret comes. */
const WORDS = [...Array.from({ length: 100 }, (_, at) => `word ${at} `), 'the sec', 'ret', ' and more'];
const SAID = WORDS.join('');

const GUARDS = ['block input', 'block output', 'mask input', 'mask output', 'observe'] as const;
type Guard = (typeof GUARDS)[number];

/**
 * What happens to a call that holds the secret in request and answer.
 *
 * - `refused`: 400, or an error event in a stream that has begun; nothing of the secret leaves
 * - `masked`: it goes on, with the mask in place of the secret
 * - `as it is`: the guard runs, and there is no text in which it could mask anything
 * - `seen`: it goes on as it is, and the evaluator has seen request and answer
 * - `request seen`, `not seen`: of that nothing can be read; it is observed as far as possible
 * - `unavailable`: 503, since the guard cannot run there
 * - `no stream`: 400, since the surface has no streams
 */
type Cell =
  | 'refused'
  | 'masked'
  | 'as it is'
  | 'seen'
  | 'request seen'
  | 'not seen'
  | 'unavailable'
  | 'no stream';
type Row = readonly [blockInput: Cell, blockOutput: Cell, maskInput: Cell, maskOutput: Cell, observe: Cell];

const TEXT: Row = ['refused', 'refused', 'masked', 'masked', 'seen'];
const NO_TEXT: Row = ['refused', 'refused', 'masked', 'as it is', 'seen'];
const SPEECH: Row = ['refused', 'unavailable', 'masked', 'unavailable', 'request seen'];
const FORM: Row = ['unavailable', 'unavailable', 'unavailable', 'unavailable', 'not seen'];
const NO_STREAM: Row = ['no stream', 'no stream', 'no stream', 'no stream', 'no stream'];

const MATRIX: Readonly<Record<string, { readonly json: Row; readonly sse: Row }>> = {
  'chat.completions': { json: TEXT, sse: TEXT },
  completions: { json: TEXT, sse: TEXT },
  responses: { json: TEXT, sse: TEXT },
  messages: { json: TEXT, sse: TEXT },
  'images.generations': { json: TEXT, sse: TEXT },
  rerank: { json: TEXT, sse: NO_STREAM },
  embeddings: { json: NO_TEXT, sse: NO_STREAM },
  moderations: { json: NO_TEXT, sse: NO_STREAM },
  'messages.count_tokens': { json: NO_TEXT, sse: NO_STREAM },
  // What a client asks to be streamed passes through as it comes, as all bytes do.
  'audio.speech': { json: SPEECH, sse: SPEECH },
  'audio.transcriptions': { json: FORM, sse: FORM },
};

interface Example {
  /** Fields of the request, besides model and stream. */
  readonly ask: Readonly<Record<string, unknown>>;
  readonly answer: unknown;
  readonly events?: readonly string[];
}

const MESSAGES = [{ role: 'user', content: SECRET }];
const IMAGE = { created_at: 1, b64_json: 'aGk=', revised_prompt: SAID };

const EXAMPLES: Readonly<Record<string, Example>> = {
  'chat.completions': {
    ask: { messages: MESSAGES },
    answer: {
      ...COMPLETION,
      choices: [{ ...COMPLETION.choices[0], message: { role: 'assistant', content: SAID } }],
    },
    events: chatStream(WORDS),
  },
  completions: {
    ask: { prompt: SECRET },
    answer: { choices: [{ index: 0, text: SAID, logprobs: null, finish_reason: 'stop' }] },
    events: textStream(WORDS),
  },
  responses: { ask: { input: SECRET }, answer: responseOf(SAID), events: responseStream(WORDS) },
  messages: {
    ask: { max_tokens: 9, messages: MESSAGES },
    answer: anthropicMessage(SAID),
    events: anthropicStream(WORDS),
  },
  'images.generations': {
    ask: { prompt: SECRET },
    answer: { created: 1, data: [IMAGE] },
    events: [
      typed('image_generation.partial_image', { b64_json: 'aGk=', partial_image_index: 0 }),
      typed('image_generation.completed', IMAGE),
    ],
  },
  rerank: {
    ask: { query: SECRET, documents: ['a'] },
    answer: { results: [{ index: 0, relevance_score: 1, document: { text: SAID } }] },
  },
  embeddings: {
    ask: { input: [SECRET, 'a'] },
    answer: { model: SECRET, data: [{ index: 0, embedding: [1] }] },
  },
  moderations: { ask: { input: SECRET }, answer: { model: SECRET, results: [{ flagged: false }] } },
  'messages.count_tokens': { ask: { messages: MESSAGES }, answer: { input_tokens: 3, model: SECRET } },
  'audio.speech': { ask: { input: SECRET, voice: 'a' }, answer: SAID },
  'audio.transcriptions': { ask: { prompt: SECRET }, answer: SAID },
};

const PLUGIN = `
const SECRET = ${JSON.stringify(SECRET)};
const seen = [];
export default {
  metadata: { name: 'guard', version: '1.0.0', capabilities: ['EVALUATOR', 'ROUTES'] },
  startup(app, { settings }) {
    const [action, side] = settings.get('guard').split(' ');
    const judge = ({ text, body }) => {
      if (action === 'block') return { action: JSON.stringify(body).includes(SECRET) ? 'block' : 'pass' };
      const start = text.indexOf(SECRET);
      const spans = [{ start, end: start + SECRET.length, replacement: ${JSON.stringify(MASK)} }];
      return start === -1 ? { action: 'pass' } : { action: 'mask', spans };
    };
    const note = (what) => ({ id }, { text, body } ) =>
      void seen.push([id, what, text.includes(SECRET) || JSON.stringify(body).includes(SECRET)]);
    if (action === 'observe') {
      const input = (request) => note('request')(request, request);
      app.evaluator({ name: 'guard', mode: 'observe', input, output: note('answer') });
      app.get('/guard/seen', (_req, res) => { res.json(seen); });
    } else if (side === 'input') app.evaluator({ name: 'guard', mode: 'block', input: judge });
    else app.evaluator({ name: 'guard', mode: 'block', output: (_request, response) => judge(response) });
  },
};`;

describe('guards on every surface', () => {
  it('are known cell by cell', () => {
    const names = SURFACES.map(({ name }) => name).sort();
    assert.deepEqual(Object.keys(MATRIX).sort(), names);
    assert.deepEqual(Object.keys(EXAMPLES).sort(), names);
    for (const { name, stream } of SURFACES)
      assert.equal(stream !== null, EXAMPLES[name]?.events !== undefined);
  });

  for (const [column, guard] of GUARDS.entries()) {
    it(guard, async (t) => {
      const upstream = await startUpstream(answer);
      t.after(() => upstream.close());
      const gateway = await startGateway(t, {
        files: { 'gateway.yaml': configFor(upstream.url), 'plugins/guard.js': PLUGIN },
        env: { LLMROUTER_PLUGIN_GUARD__GUARD: guard },
      });
      for (const { name, path } of SURFACES) {
        for (const form of ['json', 'sse'] as const) {
          const cell = MATRIX[name]?.[form][column] as Cell;
          await t.test(`${name}, ${form === 'json' ? 'JSON' : 'SSE'}: ${cell}`, async () => {
            const before = upstream.requests.length;
            const response = await ask(gateway.url, name, path, form === 'sse');
            const body = await response.text();
            const sent = upstream.requests.slice(before);
            await assertCell(cell, { gateway, guard, name, isStream: form === 'sse', response, body, sent });
          });
        }
      }
      await gateway.stop();
    });
  }
});

interface Outcome {
  readonly gateway: GatewayProcess;
  readonly guard: Guard;
  readonly name: string;
  readonly isStream: boolean;
  readonly response: Response;
  readonly body: string;
  readonly sent: readonly UpstreamRequest[];
}

async function assertCell(cell: Cell, outcome: Outcome): Promise<void> {
  const { guard, response, body, sent } = outcome;
  if (cell === 'refused') {
    const hasBegun = response.status === 200;
    assert.ok(hasBegun ? guard === 'block output' : response.status === 400, `${response.status} ${body}`);
    assert.match(body, /content_filter|invalid_request_error/);
    assert.ok(!body.includes('the sec') && !body.includes('ret and'), body.slice(-400));
    assert.equal(sent.length, guard === 'block input' ? 0 : 1);
  } else if (cell === 'unavailable') {
    assert.equal(response.status, 503);
    assert.match(body, /evaluator_unavailable/);
    assert.equal(sent.length, 0);
  } else if (cell === 'no stream') {
    assert.equal(response.status, 400);
    assert.match(body, /has no streams/);
    assert.equal(sent.length, 0);
  } else {
    assert.equal(response.status, 200);
    assertPassed(cell, outcome);
    if (guard === 'observe') await assertSeen(cell, outcome);
  }
}

function assertPassed(cell: Cell, { guard, name, isStream, body, sent }: Outcome): void {
  const asked = String(sent[0]?.body);
  const masksInput = cell === 'masked' && guard === 'mask input';
  const masksOutput = cell === 'masked' && guard === 'mask output';
  assert.deepEqual([asked.includes(SECRET), asked.includes(MASK)], [!masksInput, masksInput], asked);
  if (masksOutput) {
    assert.ok(body.includes(MASK) && body.includes('word 99') && body.includes('and more'), body.slice(-400));
    assert.ok(!body.includes('the sec') && !body.includes('ret and'), body.slice(-400));
  } else assert.equal(body, bodyOf(name, isStream));
}

async function assertSeen(cell: Cell, { gateway, name, response }: Outcome): Promise<void> {
  const id = response.headers.get('x-request-id');
  const expected = { seen: ['request', 'answer'], 'request seen': ['request'] }[cell as string] ?? [];
  // Observers run beside the request: they may see it later than the client.
  for (;;) {
    const seen = (await (await fetch(`${gateway.url}/guard/seen`)).json()) as [string, string, boolean][];
    const own = seen.filter(([request]) => request === id);
    assert.ok(
      own.every(([, , hasSecret]) => hasSecret),
      name,
    );
    if (own.length < expected.length) continue;
    assert.deepEqual(
      own.map(([, what]) => what),
      expected,
    );
    return;
  }
}

function configFor(upstream: string): string {
  const serve = (name: string, provider: string): object => ({
    model_name: name,
    litellm_params: { model: `${provider}/${name}`, api_base: upstream, api_key: 'test-key' },
  });
  return JSON.stringify({ model_list: [serve('m', 'openai'), serve('a', 'anthropic')] });
}

function ask(url: string, name: string, path: string, isStream: boolean): Promise<Response> {
  const fields = EXAMPLES[name]?.ask ?? {};
  const model = name.startsWith('messages') ? 'a' : 'm';
  if (name === 'audio.transcriptions') {
    const form = new FormData();
    for (const [key, value] of Object.entries({ model, ...fields, stream: String(isStream) }))
      form.set(key, String(value));
    form.set('file', new Blob(['sound']), 'a.mp3');
    return fetch(url + path, { method: 'POST', body: form });
  }
  const body = { model, ...fields, ...(isStream ? { stream: true, stream_format: 'sse' } : {}) };
  return fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/** The upstream: tells from the request what it is asked for. */
function answer({ path, body, headers }: UpstreamRequest, res: ServerResponse): void {
  const surface = SURFACES.find(
    ({ upstreamPath }) => path.replace(/^\/v1(?=\/v1)/, '').replace(/^\/v1/, '') === upstreamPath,
  );
  const name = surface?.name ?? '';
  const isStream =
    String(headers.accept).includes('event-stream') ||
    /"stream":true|name="stream"\r\n\r\ntrue/.test(String(body));
  res.writeHead(200, { 'content-type': typeOf(name, isStream) });
  res.end(bodyOf(name, isStream));
}

function typeOf(name: string, isStream: boolean): string {
  if (isStream) return 'text/event-stream';
  return name.startsWith('audio') ? 'application/octet-stream' : 'application/json';
}

function bodyOf(name: string, isStream: boolean): string {
  const { events, answer: whole } = EXAMPLES[name] as Example;
  if (isStream) return events?.join('') ?? `data: ${String(whole)}\n\n`;
  return typeof whole === 'string' ? whole : JSON.stringify(whole);
}
