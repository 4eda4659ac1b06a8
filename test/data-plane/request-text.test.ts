import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { maskRequest, textOfRequest } from '../../src/data-plane/text/request-text.ts';
import { deepFreeze } from '../../src/freeze.ts';

const FILE = 'data:image/png;base64,aGk=';

describe('the text of a request', () => {
  for (const [what, body, text] of [
    ['a chat', { model: 'm', messages: [{ role: 'user', content: 'hi', name: 'ada' }] }, 'hi\nada'],
    [
      'parts, without the files in them',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'look' },
              { type: 'image_url', image_url: { url: FILE } },
              { type: 'input_image', image_url: FILE },
              { type: 'input_audio', input_audio: { data: 'aGk=', format: 'wav' } },
              { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'aGk=' } },
            ],
          },
        ],
      },
      'look\nwav\nimage/png',
    ],
    [
      'files that are text, and addresses',
      { a: { type: 'text', data: 'plain' }, b: { url: 'https://x.example/?q=1' }, c: { file_data: 'words' } },
      'plain\nhttps://x.example/?q=1\nwords',
    ],
    ['a data URL where no file belongs', { content: FILE }, FILE],
    [
      'tools, their arguments and their results',
      {
        tools: [{ type: 'function', function: { name: 'f', description: 'does' } }],
        messages: [
          {
            role: 'assistant',
            tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }],
          },
          { role: 'tool', tool_call_id: 'call_1', content: 'done' },
        ],
      },
      'f\ndoes\nf\n{"a":1}\ndone',
    ],
    [
      'prompts, inputs, documents',
      { prompt: ['a', 'b'], input: 'c', query: 'd', documents: [{ text: 'e' }] },
      'a\nb\nc\nd\ne',
    ],
    ['what nobody here knows', { x: { y: [['z']] } }, 'z'],
    ['nothing', { model: 'm', temperature: 1, stream: true, stop: null }, ''],
  ] as const) {
    it(`has ${what}`, () => {
      assert.equal(textOfRequest(body), text);
    });
  }

  it('is masked where it stands, and nothing else is changed', () => {
    const strings = fc.string({ minLength: 1, maxLength: 8 });
    const bodies = fc.dictionary(strings, fc.jsonValue({ maxDepth: 4 }), { maxKeys: 5 });
    fc.assert(
      fc.property(
        bodies,
        fc.integer({ min: 0, max: 40 }),
        fc.integer({ min: 1, max: 20 }),
        (body, start, length) => {
          const before = JSON.stringify(body);
          const text = textOfRequest(deepFreeze(body) as Record<string, unknown>);
          const end = Math.min(text.length, start + length);
          if (start >= end) return;
          const masked = maskRequest(body as Record<string, unknown>, [{ start, end, replacement: '' }]);
          const cut =
            text.slice(0, start) + text.slice(start, end).replaceAll(/[^\n]/g, '') + text.slice(end);
          // Texts that are empty now leave no line behind.
          const lines = (value: string): string =>
            value
              .split('\n')
              .filter((line) => line !== '')
              .join('\n');
          if (!/\n/.test(text)) assert.equal(lines(textOfRequest(masked)), lines(cut));
          assert.equal(JSON.stringify(body), before);
          const shape = (value: unknown): string =>
            JSON.stringify(value, (_key, each) => (typeof each === 'string' ? '' : each));
          assert.equal(shape(masked), shape(body));
        },
      ),
    );
  });

  it('is masked across several texts with one replacement', () => {
    const body = { messages: [{ content: 'one two' }, { content: 'three' }, { content: 'four five' }] };
    const start = 'one '.length;
    const end = 'one two\nthree\nfour'.length;
    assert.deepEqual(maskRequest(body, [{ start, end, replacement: '*' }]), {
      messages: [{ content: 'one *' }, { content: '' }, { content: ' five' }],
    });
  });

  it('joins masks that overlap, and says [masked] by default', () => {
    const spans = [
      { start: 6, end: 8, replacement: 'b' },
      { start: 1, end: 4 },
      { start: 3, end: 5, replacement: 'c' },
    ];
    assert.deepEqual(maskRequest({ x: '0123456789' }, spans), { x: '0[masked]5b89' });
  });

  it('is masked in one pass, however many texts and masks there are', () => {
    const texts = Array.from({ length: 50_000 }, (_, at) => `secret ${at}`);
    const text = textOfRequest({ texts });
    const spans = [...text.matchAll(/secret/g)].map(({ index }) => ({
      start: index,
      end: index + 6,
      replacement: '*',
    }));
    assert.deepEqual(maskRequest({ texts }, spans), { texts: texts.map((_, at) => `* ${at}`) });
  });

  it('finds and masks members called like those of every object', () => {
    const body = JSON.parse('{"__proto__":{"x":"secret"},"constructor":"secret"}');
    assert.equal(textOfRequest(body), 'secret\nsecret');
    const masked = maskRequest(body, [{ start: 0, end: 13, replacement: '' }]);
    assert.equal(JSON.stringify(masked), '{"__proto__":{"x":""},"constructor":""}');
  });
});
