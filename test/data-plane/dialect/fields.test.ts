import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { SETTINGS } from '../../../src/data-plane/dialect/canonical.ts';
import { CLIENT_DIALECTS } from '../../../src/data-plane/dialect/client/table.ts';
import type { FieldRule, FieldTable } from '../../../src/data-plane/dialect/fields.ts';
import { PART_KINDS } from '../../../src/data-plane/dialect/fields.ts';
import { CHAT_CARRIAGE } from '../../../src/data-plane/dialect/upstream/chat-carriage.ts';
import { MESSAGES_CARRIAGE } from '../../../src/data-plane/dialect/upstream/messages-carriage.ts';
import { MODEL_CARRIAGE } from '../../../src/data-plane/dialect/upstream/model-carriage.ts';
import { tableBelow } from '../../docs/markdown.ts';
import { deployment, postTo, serve } from '../../support/data-plane.ts';
import { startUpstream, type Upstream } from '../../support/upstream.ts';
import { ANTHROPIC_VENDOR, CHAT_VENDOR, says } from './answers.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../../docs/dialects.md'), 'utf8');
const HELLO = [{ role: 'user', content: 'Hello' }];

const CLIENTS = [
  { name: 'chat.completions', path: '/v1/chat/completions', model: 'claude', body: { messages: HELLO } },
  { name: 'responses', path: '/v1/responses', model: 'claude', body: { input: 'Hello' } },
  { name: 'messages', path: '/v1/messages', model: 'gpt', body: { max_tokens: 10, messages: HELLO } },
] as const;

for (const { name, path, model, body } of CLIENTS) {
  const fields = CLIENT_DIALECTS.get(name)?.fields as FieldTable;

  describe(`a field of ${path} that crosses`, () => {
    it('is refused by its name when no other dialect has it, and taken where it asks for nothing', async (t) => {
      const { url, upstream } = await gateway(t);
      for (const [field, rule] of rulesOf(fields, 'refused')) {
        const before = upstream.requests.length;
        const response = await postTo(
          url,
          path,
          JSON.stringify({ model, ...body, [field]: 'something else' }),
        );
        assert.deepEqual([response.status, await paramOf(response)], [400, field]);
        assert.equal(upstream.requests.length, before);
        for (const neutral of [null, ...(rule.neutral ?? [])]) {
          const taken = await postTo(url, path, JSON.stringify({ model, ...body, [field]: neutral }));
          assert.equal(taken.status, 200, `${field}: ${JSON.stringify(neutral)}: ${await taken.text()}`);
        }
      }
    });

    it('is left out where it asks for nothing that the answer depends on', async (t) => {
      const { url, upstream } = await gateway(t);
      for (const [field] of rulesOf(fields, 'ignored')) {
        const response = await postTo(
          url,
          path,
          JSON.stringify({ model, ...body, [field]: { user_id: 'u' } }),
        );
        assert.equal(response.status, 200, field);
        assert.ok(!(field in JSON.parse(String(upstream.requests.at(-1)?.body))));
      }
    });

    it('is refused when nobody knows it, at the top and within', async (t) => {
      const { url, upstream } = await gateway(t);
      const unknown = await postTo(url, path, JSON.stringify({ model, ...body, novelty: 1 }));
      assert.deepEqual([unknown.status, await paramOf(unknown)], [400, 'novelty']);
      const prompt = name === 'responses' ? 'input' : 'messages';
      const message = { role: 'user', content: 'Hello', mood: 'good' };
      const within = await postTo(url, path, JSON.stringify({ model, ...body, [prompt]: [message] }));
      assert.deepEqual([within.status, await paramOf(within)], [400, `${prompt}[0].mood`]);
      const part = [{ role: 'user', content: [{ type: 'hologram' }] }];
      const kind = await postTo(url, path, JSON.stringify({ model, ...body, [prompt]: part }));
      assert.deepEqual([kind.status, await paramOf(kind)], [400, `${prompt}[0].content[0].type`]);
      assert.equal(upstream.requests.length, 0);
    });

    it('is in the documentation with what becomes of it', () => {
      const rows = Object.entries(fields).map(([field, { fate, setting, note, neutral = [] }]) => [
        field,
        [fate, ...neutral.map((value) => JSON.stringify(value))].join(', but for '),
        setting ?? '',
        note.replaceAll('`', ''),
      ]);
      assert.deepEqual(tableBelow(PAGE, `## From \`${path}\``), rows);
    });
  });
}

describe('a setting that crosses', () => {
  const REFUSED = [
    ['/v1/messages', { max_tokens: 10, messages: HELLO }, 'gpt', { top_k: 5 }, 'top_k'],
    ['/v1/chat/completions', { messages: HELLO }, 'claude', { seed: 1 }, 'seed'],
    ['/v1/chat/completions', { messages: HELLO }, 'claude', { presence_penalty: 1 }, 'presence_penalty'],
    ['/v1/chat/completions', { messages: HELLO }, 'claude', { frequency_penalty: 1 }, 'frequency_penalty'],
    ['/v1/chat/completions', { messages: HELLO }, 'claude', { verbosity: 'low' }, 'verbosity'],
    [
      '/v1/chat/completions',
      { messages: HELLO },
      'claude',
      { response_format: { type: 'json_object' } },
      'response_format',
    ],
    ['/v1/responses', { input: 'Hello' }, 'claude', { text: { format: { type: 'json_object' } } }, 'text'],
    [
      '/v1/responses',
      { input: 'Hello' },
      'claude',
      { reasoning: { effort: 'low' }, max_output_tokens: 100 },
      'max_output_tokens',
    ],
  ] as const;

  it('is refused by the name that the client gave it when the upstream has no word for it', async (t) => {
    const { url, upstream } = await gateway(t);
    for (const [path, body, model, fields, param] of REFUSED) {
      const response = await postTo(url, path, JSON.stringify({ model, ...body, ...fields }));
      assert.deepEqual([response.status, await paramOf(response)], [400, param]);
    }
    assert.equal(upstream.requests.length, 0);
  });

  it('is in the documentation with what each upstream makes of it', () => {
    const cell = ({ fate, note }: { fate: string; note: string }): string =>
      `${fate}: ${note.replaceAll('`', '')}`;
    const settings = SETTINGS.map((setting) => [
      setting,
      cell(CHAT_CARRIAGE.settings[setting]),
      cell(MESSAGES_CARRIAGE.settings[setting]),
      cell(MODEL_CARRIAGE.settings[setting]),
    ]);
    assert.deepEqual(tableBelow(PAGE, '## To an upstream'), settings);
    const parts = PART_KINDS.map((kind) => [
      kind,
      cell(CHAT_CARRIAGE.parts[kind]),
      cell(MESSAGES_CARRIAGE.parts[kind]),
      cell(MODEL_CARRIAGE.parts[kind]),
    ]);
    assert.deepEqual(tableBelow(PAGE, '## Files'), parts);
  });
});

describe('a file that crosses', () => {
  const AUDIO = { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } };
  const PDF = { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AAAA' } };
  const ZIP = { type: 'file', file: { file_data: 'data:application/zip;base64,AAAA' } };

  it('is refused where the upstream takes no such files', async (t) => {
    const { url } = await gateway(t);
    for (const [part, status] of [
      [AUDIO, 400],
      [ZIP, 400],
      [PDF, 200],
    ] as const) {
      const messages = [{ role: 'user', content: [part] }];
      const response = await postTo(
        url,
        '/v1/chat/completions',
        JSON.stringify({ model: 'claude', messages }),
      );
      assert.equal(response.status, status);
      if (status === 400) assert.equal(await paramOf(response), 'messages');
    }
  });

  it('reaches the upstream as its dialect has it', async (t) => {
    const { url, upstream } = await gateway(t);
    const blocks = [
      {
        type: 'document',
        source: { type: 'base64', media_type: 'application/pdf', data: 'AAAA' },
        title: 'a.pdf',
      },
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'plain' } },
    ];
    const body = { model: 'gpt', max_tokens: 10, messages: [{ role: 'user', content: blocks }] };
    assert.equal((await postTo(url, '/v1/messages', JSON.stringify(body))).status, 200);
    assert.deepEqual(JSON.parse(String(upstream.requests[0]?.body)).messages[0].content, [
      PDF,
      { type: 'text', text: 'plain' },
    ]);
  });

  it('in the result of a tool follows the results', async (t) => {
    const { url, upstream } = await gateway(t);
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } };
    const messages = [
      { role: 'user', content: 'Look' },
      { role: 'assistant', content: [call('a'), call('b')] },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'a', content: [{ type: 'text', text: 'Here' }, image] },
          { type: 'tool_result', tool_use_id: 'b', content: 'gone', is_error: true },
          { type: 'text', text: 'Well?' },
        ],
      },
    ];
    const body = { model: 'gpt', max_tokens: 10, messages };
    assert.equal((await postTo(url, '/v1/messages', JSON.stringify(body))).status, 200);
    assert.deepEqual(JSON.parse(String(upstream.requests[0]?.body)).messages.slice(2), [
      { role: 'tool', tool_call_id: 'a', content: 'Here\n(see the file below)' },
      { role: 'tool', tool_call_id: 'b', content: 'Error: gone' },
      { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }] },
      { role: 'user', content: 'Well?' },
    ]);
  });
});

function call(id: string): object {
  return { type: 'tool_use', id, name: 'look', input: {} };
}

function rulesOf(fields: FieldTable, fate: FieldRule['fate']): [string, FieldRule][] {
  return Object.entries(fields).filter(([, rule]) => rule.fate === fate);
}

async function paramOf(response: Response): Promise<unknown> {
  return ((await response.json()) as { error: { param?: string } }).error.param;
}

async function gateway(t: TestContext): Promise<{ url: string; upstream: Upstream }> {
  const said = { text: 'Hi', finish: 'stop', usage: { input: 1, cached: 0, output: 1 } } as const;
  const upstream = await startUpstream((request, res, socket) => {
    const vendor = request.path === '/v1/messages' ? ANTHROPIC_VENDOR : CHAT_VENDOR;
    return says(vendor, said)(request, res, socket);
  });
  t.after(() => upstream.close());
  const { url } = await serve(t, {
    deployments: [
      deployment(upstream.url, { group: 'gpt' }),
      deployment(upstream.url, { group: 'claude', provider: 'anthropic', model: 'claude-sonnet-4-5' }),
    ],
  });
  return { url, upstream };
}
