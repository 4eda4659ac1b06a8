import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ResponseHead } from '../../src/http1/response-head.ts';
import { ResponseParser } from '../../src/http1/response-parser.ts';

const MAX_HEAD_BYTES = 16_384;

/** All that a parser has said of one response. */
interface Reading {
  readonly heads: ResponseHead[];
  readonly body: string;
  readonly isOver: boolean;
  readonly taken: number;
  readonly error: string | null;
}

/** Reads `wire` in pieces that end at `cuts`, each in memory that is overwritten right after. */
function read(wire: Buffer, cuts: readonly number[] = [], ends = false): Reading {
  const heads: ResponseHead[] = [];
  const pieces: Buffer[] = [];
  const parser = new ResponseParser({
    onHead: (head) => heads.push(head),
    onBody: (bytes) => pieces.push(bytes),
  });
  let taken = 0;
  let error: string | null = null;
  parser.begin();
  try {
    for (const [from, to] of piecesOf(wire.length, cuts)) {
      if (parser.isOver) break;
      const memory = Buffer.from(wire.subarray(from, to));
      taken += parser.push(memory, memory.length);
      memory.fill(0x58);
    }
    if (ends) parser.end();
  } catch (thrown) {
    error = (thrown as { code: string }).code;
  }
  return { heads, body: Buffer.concat(pieces).toString('latin1'), isOver: parser.isOver, taken, error };
}

function piecesOf(length: number, cuts: readonly number[]): [from: number, to: number][] {
  const places = [...new Set([0, ...cuts.map((cut) => cut % (length + 1)), length])].sort((a, b) => a - b);
  return places.slice(1).map((to, at) => [places[at] as number, to]);
}

const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/);
const text = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,20}$/);
const blanks = fc.stringMatching(/^[ \t]{0,3}$/);
const field = fc
  .record({ name: token, before: blanks, value: text, after: blanks })
  .filter(({ name }) => !/^(content-length|transfer-encoding|connection)$/i.test(name))
  .map((parts) => ({ ...parts, line: `${parts.name}:${parts.before}${parts.value}${parts.after}` }));
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array).toString('latin1'));
const chunk = fc.record({
  data: fc.uint8Array({ minLength: 1, maxLength: 100 }).map((array) => Buffer.from(array).toString('latin1')),
  zeros: fc.integer({ min: 0, max: 3 }),
  isUpper: fc.boolean(),
  extension: fc.constantFrom('', ';a', ';a=b', ';a="b c"', ';a;b=c'),
});
const framed = fc.oneof(
  fc.constant({ lines: [] as string[], status: 204, wire: '', body: '', ends: false }),
  bytes.map((body) => ({
    lines: [`Content-Length: ${body.length}`],
    status: 200,
    wire: body,
    body,
    ends: false,
  })),
  bytes.map((body) => ({ lines: [], status: 200, wire: body, body, ends: true })),
  fc
    .record({ chunks: fc.array(chunk, { maxLength: 8 }), trailers: fc.array(field, { maxLength: 2 }) })
    .map(({ chunks, trailers }) => ({
      lines: ['Transfer-Encoding: chunked'],
      status: 200,
      wire: `${chunks.map(chunkText).join('')}0\r\n${trailers.map(({ line }) => `${line}\r\n`).join('')}\r\n`,
      body: chunks.map(({ data }) => data).join(''),
      ends: false,
    })),
);
const response = fc
  .record({
    informational: fc.array(fc.constantFrom(100, 102, 103, 199), { maxLength: 2 }),
    framed,
    reason: text,
    fields: fc.array(field, { maxLength: 5 }),
  })
  .map(({ informational, framed, reason, fields }) => {
    const before = informational.map((status) => `HTTP/1.1 ${status} Wait\r\nLink: </a>\r\n\r\n`).join('');
    const lines = [`HTTP/1.1 ${framed.status} ${reason}`, ...framed.lines, ...fields.map(({ line }) => line)];
    return {
      ...framed,
      fields,
      wire: Buffer.from(`${before}${lines.join('\r\n')}\r\n\r\n${framed.wire}`, 'latin1'),
    };
  });

interface Chunk {
  readonly data: string;
  readonly zeros: number;
  readonly isUpper: boolean;
  readonly extension: string;
}

function chunkText({ data, zeros, isUpper, extension }: Chunk): string {
  const size = data.length.toString(16);
  return `${'0'.repeat(zeros)}${isUpper ? size.toUpperCase() : size}${extension}\r\n${data}\r\n`;
}

test('a response is the same however it is cut, and memory that is used again changes nothing', () => {
  const cuts = fc.array(fc.nat(2_000), { maxLength: 20 });
  fc.assert(
    fc.property(response, cuts, ({ wire, status, body, ends }, places) => {
      const whole = read(wire, [], ends);
      assert.deepEqual(read(wire, places, ends), whole);
      assert.equal(whole.error, null);
      assert.equal(whole.heads.length, 1);
      assert.equal(whole.heads[0]?.status, status);
      assert.equal(whole.body, body);
      assert.ok(whole.isOver);
      assert.equal(whole.taken, wire.length);
    }),
    { numRuns: 500 },
  );
});

test('a response that comes byte by byte is the same as in one read', () => {
  fc.assert(
    fc.property(response, ({ wire, ends }) => {
      const places = Array.from({ length: wire.length }, (_, at) => at);
      assert.deepEqual(read(wire, places, ends), read(wire, [], ends));
    }),
    { numRuns: 100 },
  );
});

test('broken bytes are refused alike however they are cut', () => {
  const broken = fc
    .record({
      response,
      at: fc.nat(2_000),
      byte: fc.integer({ min: 0, max: 255 }),
      places: fc.array(fc.nat(2_000)),
    })
    .map(({ response, at, byte, places }) => {
      const wire = Buffer.from(response.wire);
      wire[at % wire.length] = byte;
      return { wire, ends: response.ends, places };
    });
  fc.assert(
    fc.property(broken, ({ wire, ends, places }) => {
      const { error, isOver, heads } = read(wire, places, ends);
      const whole = read(wire, [], ends);
      assert.deepEqual(
        { error, isOver, heads },
        { error: whole.error, isOver: whole.isOver, heads: whole.heads },
      );
    }),
    { numRuns: 500 },
  );
});

test('fields keep their values without the white space around them; those that come twice are lists', () => {
  fc.assert(
    fc.property(response, ({ wire, fields, ends }) => {
      const expected = new Map<string, string[]>();
      for (const { name, value } of fields) {
        const key = name.toLowerCase();
        expected.set(key, [...(expected.get(key) ?? []), value.replace(/^[ \t]+|[ \t]+$/g, '')]);
      }
      const { headers = {} } = read(wire, [], ends).heads[0] ?? {};
      for (const [key, values] of expected) {
        if (key === '__proto__') continue;
        assert.deepEqual([headers[key]].flat(), values);
      }
    }),
  );
});

test('fields with the names of object members are fields, and set no prototype', () => {
  const names = ['constructor', 'toString', '__proto__', 'hasOwnProperty'];
  const lines = names.map((name) => `${name}: a\r\n`).join('');
  const { heads } = read(Buffer.from(`HTTP/1.1 204 x\r\n${lines}\r\n`));
  const headers = heads[0]?.headers ?? {};
  assert.deepEqual(Object.keys(headers), ['constructor', 'tostring', 'hasownproperty']);
  assert.equal(Object.getPrototypeOf(headers), Object.prototype);
});

test('what comes behind a response is not taken', () => {
  for (const framing of [
    'Content-Length: 2\r\n\r\nok',
    'Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
  ]) {
    const wire = `HTTP/1.1 200 OK\r\n${framing}`;
    const { taken, body, heads } = read(Buffer.from(`${wire}HTTP/1.1 200 OK\r\n\r\nstolen`));
    assert.deepEqual({ taken, body, heads: heads.length }, { taken: wire.length, body: 'ok', heads: 1 });
  }
});

test('a head may have 16 KiB and no byte more, however it is cut', () => {
  for (const [size, error] of [
    [MAX_HEAD_BYTES, null],
    [MAX_HEAD_BYTES + 1, 'HTTP1_INVALID_RESPONSE'],
    [MAX_HEAD_BYTES + 4, 'HTTP1_INVALID_RESPONSE'],
  ] as const) {
    const start = 'HTTP/1.1 204 No Content\r\nx: ';
    const wire = Buffer.from(`${start}${'a'.repeat(size - start.length - 4)}\r\n\r\n`);
    for (const cuts of [[], [100], [size - 1], [size - 3], [size - 4], [100, 5_000, size - 2]]) {
      assert.equal(read(wire, cuts).error, error, `${size} bytes, cut at ${cuts}`);
    }
  }
});

test('extensions and trailers without an end are refused', () => {
  const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
  for (const endless of ['1;', '0\r\nname: ', '0\r\n']) {
    const wire = Buffer.from(`${head}${endless}${'a'.repeat(20_000)}`);
    assert.equal(read(wire, [5_000, 10_000]).error, 'HTTP1_INVALID_RESPONSE', endless);
  }
  const manyTrailers = Buffer.from(`${head}0\r\n${'a: b\r\n'.repeat(10_000)}\r\n`);
  assert.equal(read(manyTrailers).error, 'HTTP1_INVALID_RESPONSE');
});

test('a parser reads any number of responses, and counts nothing from one to the next', () => {
  let body = '';
  const parser = new ResponseParser({
    onHead: () => {},
    onBody: (bytes) => {
      body += bytes.toString('latin1');
    },
  });
  const wires = [
    'Transfer-Encoding: chunked\r\n\r\n3;a\r\none\r\n0\r\nt: x\r\n\r\n',
    'Content-Length: 3\r\n\r\ntwo',
    'Transfer-Encoding: chunked\r\n\r\n000000000005\r\nthree\r\n0\r\n\r\n',
  ].map((framing) => Buffer.from(`HTTP/1.1 200 OK\r\n${framing}`));
  for (let round = 0; round < 4_000; round++) {
    for (const wire of wires) {
      parser.begin();
      assert.equal(parser.push(wire, wire.length), wire.length);
      assert.ok(parser.isOver);
    }
  }
  assert.equal(body, 'onetwothree'.repeat(4_000));
});

test('a response that never comes to its final head is refused', () => {
  const early = 'HTTP/1.1 103 Early Hints\r\n\r\n';
  const final = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
  assert.equal(read(Buffer.from(early.repeat(32) + final)).heads.length, 1);
  assert.equal(read(Buffer.from(early.repeat(33) + final)).error, 'HTTP1_INVALID_RESPONSE');
});
