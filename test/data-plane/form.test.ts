import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { LlmPhases } from '../../src/pipeline/types.ts';
import type { CallRecord } from '../../src/plugin-api/exporter.ts';
import type { LlmRequest } from '../../src/plugin-api/llm.ts';
import {
  deployment,
  type PlaneSetup,
  postTo,
  routing,
  type ServedPlane,
  serve,
} from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import { json, startUpstream, text, type Upstream } from '../support/upstream.ts';

const PATH = '/v1/audio/transcriptions';
const TYPE = 'multipart/form-data; boundary="b-1"';
/** Bytes that are no UTF-8, and lines that look like those of the form. */
const SOUND = Buffer.concat([
  Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  Buffer.from('\r\n--other\r\n\r\n--'),
]);
const MODEL = field('model', 'gpt-4o');
const FILE = Buffer.concat([
  Buffer.from(
    '--b-1\r\ncontent-disposition: form-data; name="file"; filename="a\\b; name=x.mp3"\r\nContent-Type: audio/mpeg\r\n\r\n',
  ),
  SOUND,
  Buffer.from('\r\n'),
]);
const END = '--b-1--\r\n';
const GUARD = { plugin: 'pii', what: 'evaluator "pii"' };

describe('a form', () => {
  it('passes through byte for byte, with its own content type', async (t) => {
    const { url, upstream } = await gateway(t);
    for (const body of [form(MODEL, FILE), form(FILE, MODEL), form(field('x', ''), FILE, MODEL)]) {
      const response = await postForm(url, body);
      assert.equal(response.status, 200);
      assert.equal(await response.text(), '{ "text":"Hello" }');
      const request = upstream.requests.at(-1);
      assert.deepEqual(request?.body, body);
      assert.equal(request?.headers['content-type'], TYPE);
      assert.equal(request?.headers['content-length'], String(body.length));
      assert.equal(request?.path, PATH);
    }
  });

  it("carries the deployment's name of the model, and nothing else is changed", async (t) => {
    const { url, upstream } = await gateway(t, {
      deployments: (base) => [deployment(base, { model: 'wörks' })],
    });
    await postForm(url, form(FILE, MODEL, field('prompt', 'model=gpt-4o')));
    assert.deepEqual(
      upstream.requests[0]?.body,
      form(FILE, field('model', 'wörks'), field('prompt', 'model=gpt-4o')),
    );
  });

  it('may end without a line break, and be sent again to another deployment', async (t) => {
    const { url, upstream } = await gateway(t, {
      deployments: (base) => [
        deployment(base, { id: 'gpt-4o/0', model: 'first' }),
        deployment(base, { id: 'gpt-4o/1', model: 'first' }),
      ],
      routing: routing({ numRetries: 1 }),
    });
    upstream.answer(json({}, 500), json({ text: 'Hello' }));
    const body = form(MODEL, FILE);
    const response = await postForm(url, body.subarray(0, -2));
    assert.equal(response.headers.get('x-llmrouter-attempts'), '2');
    assert.deepEqual(upstream.requests[0]?.body, upstream.requests[1]?.body);
  });

  it('is seen by plugins as its text fields', async (t) => {
    const seen: LlmRequest[] = [];
    const records: CallRecord[] = [];
    const { url } = await gateway(t, {
      llm: {
        onRoute: async (request) => void seen.push(request),
        onRequest: async () => assert.fail('a form is no JSON that a hook could change'),
        onResponse: async () => assert.fail('the answer is between the client and the upstream'),
      },
      export: (record) => void records.push(record),
    });
    const many = field('timestamp_granularities[]', 'word');
    await postForm(url, form(MODEL, FILE, many, many, field('__proto__', 'x')));
    assert.deepEqual(
      Object.entries(seen[0]?.body ?? {}),
      Object.entries({ model: 'gpt-4o', 'timestamp_granularities[]': ['word', 'word'], ['__proto__']: 'x' }),
    );
    assert.equal(seen[0]?.surface, 'audio.transcriptions');
    assert.equal(records[0]?.surface, 'audio.transcriptions');
  });

  it('is refused when a guard is loaded that cannot read it', async (t) => {
    for (const llm of [{ inputGuard: GUARD }, { outputGuard: GUARD }]) {
      const { url, upstream } = await gateway(t, { llm });
      assert.deepEqual(await errorOf(await postForm(url, form(MODEL, FILE))), [503, 'evaluator_unavailable']);
      assert.equal(upstream.requests.length, 0);
    }
  });

  it('is limited by the models of a key and by the size of a body', async (t) => {
    const { url } = await gateway(t, { identity: { id: 'ci', models: ['other'] }, bodyLimit: 1000 });
    assert.deepEqual(await errorOf(await postForm(url, form(MODEL))), [403, 'permission_error']);
    const large = form(MODEL, field('x', 'x'.repeat(1000)));
    assert.deepEqual(await errorOf(await postForm(url, large)), [413, 'body_too_large']);
  });

  const refused: [name: string, body: string, param?: string][] = [
    ['is empty', ''],
    ['has text before its first boundary', `x\r\n${MODEL}${END}`],
    ['has a line break before its first boundary', `\r\n${MODEL}${END}`],
    ['goes on behind its end', `${MODEL}${END}x`],
    ['goes on with another form', `${MODEL}${END}${MODEL}${END}`],
    ['has no end', MODEL],
    ['is cut in a head', `${MODEL}--b-1\r\ncontent-disp`],
    ['hides a model behind a line feed', `${MODEL}${field('x', 'y\n--b-1\nz')}${END}`],
    [
      'hides a part behind a line feed',
      `${MODEL}${field('x', `y\n${part('content-disposition: form-data; name=z')}`)}${END}`,
    ],
    ['has a boundary in a line', `${MODEL}${field('x', 'y --b-1 z')}${END}`],
    ['has a boundary with something behind it', `${MODEL}${field('x', 'y\r\n--b-1x\r\nz')}${END}`],
    ['has blanks behind a boundary', `--b-1 \r\n${MODEL.slice(7)}${END}`],
    ['has a part without a head', `${MODEL}--b-1\r\n\r\nx\r\n${END}`],
    ['has a part without an empty line', `${MODEL}--b-1\r\n${END}`],
    ['has a part without a name', `${MODEL}${part('content-disposition: form-data')}${END}`],
    ['has a part that is no form-data', `${MODEL}${part('content-disposition: attachment; name="x"')}${END}`],
    ['has a name twice', `${MODEL}${part('content-disposition: form-data; name="x"; name="model"')}${END}`],
    ['has an extended name', `${MODEL}${part("content-disposition: form-data; name*=utf-8''model")}${END}`],
    [
      'has a quote escaped',
      `${MODEL}${part('content-disposition: form-data; name="x"; filename="a\\"; y="b"')}${END}`,
    ],
    [
      'has a head twice',
      `${part('content-disposition: form-data; name="model"\r\ncontent-disposition: x')}${END}`,
    ],
    ['has a folded head', `${part('content-disposition: form-data;\r\n name="model"')}${END}`],
    ['has a line feed in a head', `${part('content-disposition: form-data; name="model"\nx: y')}${END}`],
    [
      'has an encoded part',
      `${part('content-disposition: form-data; name="model"\r\ncontent-transfer-encoding: base64')}${END}`,
    ],
    ['names no model', `${field('x', 'y')}${END}`, 'model'],
    ['names two models', `${MODEL}${MODEL}${END}`, 'model'],
    ['names a model in another case too', `${MODEL}${field('Model', 'x')}${END}`, 'model'],
    ['names a blank model', `${field('model', ' ')}${END}`, 'model'],
    [
      'names its model in a file',
      `${part('content-disposition: form-data; name="model"; filename=x')}${END}`,
      'model',
    ],
    ['names its model in no UTF-8', `${field('model', 'gpt-\xff')}${END}`, 'model'],
  ];
  for (const [name, body, param = null] of refused) {
    it(`that ${name} is refused`, async (t) => {
      const { url, upstream } = await gateway(t);
      const response = await postForm(url, Buffer.from(body, 'latin1'));
      assert.equal(response.status, 400);
      const { error } = (await response.json()) as { error: Record<string, unknown> };
      assert.deepEqual([error.code, error.param], ['invalid_request', param]);
      assert.equal(upstream.requests.length, 0);
    });
  }

  for (const type of [
    'application/json',
    'multipart/form-data',
    'multipart/mixed; boundary=b-1',
    'multipart/form-data; boundary=b-1; boundary=b-2',
    'multipart/form-data; boundary=',
    'multipart/form-data; boundary="b-1 "',
    `multipart/form-data; boundary=${'b'.repeat(71)}`,
    'multipart/form-data; boundary=b-1, multipart/form-data; boundary=b-2',
  ]) {
    it(`is not what comes as ${type.slice(0, 70)}`, async (t) => {
      const { url } = await gateway(t);
      const response = await postForm(url, form(MODEL), type);
      assert.deepEqual(await errorOf(response), [415, 'unsupported_media_type']);
    });
  }

  it('that a middleware has read is taken as bytes, and refused when only its parts are left', async (t) => {
    for (const [left, status] of [
      [form(MODEL), 200],
      [{ model: 'gpt-4o' }, 400],
    ] as const) {
      const { url } = await gateway(t, {
        async before(req) {
          for await (const _ of req);
          req.body = left;
        },
      });
      assert.equal((await postForm(url, form(MODEL))).status, status);
    }
  });
});

function field(name: string, value: string): string {
  return `--b-1\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
}

function part(head: string): string {
  return `--b-1\r\n${head}\r\n\r\ngpt-4o\r\n`;
}

function form(...parts: readonly (string | Buffer)[]): Buffer<ArrayBuffer> {
  return Buffer.concat([...parts, END].map((each) => (typeof each === 'string' ? Buffer.from(each) : each)));
}

function postForm(url: string, body: Buffer<ArrayBuffer>, type: string = TYPE): Promise<Response> {
  return postTo(url, PATH, body, { 'content-type': type });
}

async function errorOf(response: Response): Promise<[status: number, code: string]> {
  const { error } = (await response.json()) as { error: { code: string } };
  return [response.status, error.code];
}

interface Setup extends Pick<PlaneSetup, 'identity' | 'bodyLimit' | 'before' | 'routing'> {
  readonly deployments?: (base: string) => PlaneSetup['deployments'];
  readonly llm?: Partial<LlmPhases>;
  readonly export?: (record: CallRecord) => void;
}

async function gateway(
  t: TestContext,
  { deployments = (base) => [deployment(base)], llm = {}, export: exporter, ...setup }: Setup = {},
): Promise<ServedPlane & { readonly upstream: Upstream }> {
  const upstream = await startUpstream(text('{ "text":"Hello" }', 200, 'application/json'));
  t.after(() => upstream.close());
  const served = await serve(t, {
    ...setup,
    deployments: deployments(upstream.url) ?? [],
    pipeline: emptyPipeline({ llm, export: exporter ?? null }),
  });
  return { ...served, upstream };
}
