import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { packBytes, unpackBytes } from '../../src/isolation/channel/bytes.ts';
import { RubbishError } from '../../src/isolation/channel/frames.ts';
import {
  parseHandedOn,
  parseHead,
  parseInterim,
  parseOutcome,
  parseTrailers,
} from '../../src/isolation/host/http-outcome.ts';

const HEAD = { status: 200, message: 'OK', headers: ['x-a', 'b'] };
const HANDED_ON = {
  url: '/x',
  method: 'PUT',
  setHeaders: { a: 'b', c: ['d'] },
  removedHeaders: ['e'],
  body: { json: null },
  status: 201,
  message: 'Made',
  setAnswer: { f: 1, g: ['h'] },
  removedAnswer: ['i'],
  listens: true,
};

test('what a plugin may say of a request is read as it was said', () => {
  assert.deepEqual(parseHead({ ...HEAD, stream: 3 }), { ...HEAD, stream: 3 });
  assert.deepEqual(parseHandedOn(HANDED_ON), HANDED_ON);
  assert.deepEqual(parseInterim({ status: 103, headers: ['Link', '</a>'] }), {
    status: 103,
    headers: ['Link', '</a>'],
  });
  assert.deepEqual(parseTrailers(['X-Sum', '1']), ['X-Sum', '1']);
  for (const outcome of [
    {},
    { next: {} },
    { next: HANDED_ON },
    { answer: { ...HEAD, body: { text: '' } } },
    { answer: { ...HEAD, body: { base64: '/+8=' } } },
  ])
    assert.deepEqual(parseOutcome(outcome), outcome);
});

test('a member that is missing, unknown or of another type is refused', () => {
  const answer = { ...HEAD, body: { text: 'x' } };
  const rubbish: readonly unknown[] = [
    { next: null },
    { next: {}, answer },
    { more: 1 },
    { answer: HEAD },
    ...[99, 1000, 200.5, '200', null].map((status) => ({ answer: { ...answer, status } })),
    ...['two\nlines', 'nul\0', '€', 1, null].flatMap((message) => [
      { answer: { ...answer, message } },
      { next: { message } },
    ]),
    ...[['a', 1], 'a', { a: 'b' }].map((headers) => ({ answer: { ...answer, headers } })),
    ...[{}, { text: 1 }, { text: '', base64: '' }, { base64: '!' }, { base64: 'abc' }, { json: 1 }, 'x'].map(
      (body) => ({ answer: { ...answer, body } }),
    ),
    { next: { url: 'http://elsewhere/' } },
    { next: { setHeaders: { a: 1 } } },
    { next: { setHeaders: ['a'] } },
    { next: { setAnswer: { a: null } } },
    { next: { removedHeaders: 'a' } },
    { next: { body: { base64: '', json: 1 } } },
    { next: { stream: 1 } },
    { next: { listens: 'yes' } },
  ];
  for (const value of rubbish) assert.throws(() => parseOutcome(value), RubbishError, JSON.stringify(value));
});

test('an interim answer is no answer, and its fields and those of trailers are pairs', () => {
  for (const status of [99, 101, 200, '103'])
    assert.throws(() => parseInterim({ status, headers: [] }), RubbishError, String(status));
  for (const fields of [['a'], ['a', 1], 'ab', { a: 'b' }, null]) {
    assert.throws(() => parseInterim({ status: 103, headers: fields }), RubbishError);
    assert.throws(() => parseTrailers(fields), RubbishError);
  }
});

test('no header sets a prototype', () => {
  for (const member of ['setHeaders', 'setAnswer']) {
    const value: unknown = JSON.parse(`{"${member}":{"__proto__":["polluted"]}}`);
    assert.throws(() => parseHandedOn(value), RubbishError);
  }
  assert.throws(() => parseHandedOn(JSON.parse('{"__proto__":{}}')), RubbishError);
});

test('rubbish is refused as rubbish, whatever it is', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      for (const parse of [parseHead, parseHandedOn, parseOutcome])
        try {
          parse(value);
        } catch (error) {
          assert.ok(error instanceof RubbishError);
        }
    }),
  );
});

test('bytes come out of a message as they went in, text or not', () => {
  const bytes = fc.oneof(
    fc.uint8Array(),
    fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(bytes, (each) => {
      const crossed: unknown = JSON.parse(JSON.stringify(packBytes(Buffer.from(each))));
      assert.deepEqual(unpackBytes(crossed as ReturnType<typeof packBytes>), Buffer.from(each));
    }),
  );
});
