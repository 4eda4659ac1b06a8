import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { Pool } from 'undici';
import { ask, clientOf, Gatherer, type Outcome, startServer } from './support.ts';

/** Asks with both clients; the server writes the same bytes to each and ends the connection. */
type AskBoth = (wire: string) => Promise<{ readonly ours: Outcome; readonly undicis: Outcome }>;

async function startBoth(t: TestContext): Promise<AskBoth> {
  let current = '';
  const { origin } = await startServer(t, ({ socket }) => {
    socket.end(Buffer.from(current, 'latin1'));
  });
  const client = clientOf(t, origin);
  const pool = new Pool(origin);
  t.after(() => pool.destroy());
  return async (wire) => {
    current = wire;
    const handler = new Gatherer();
    pool.dispatch({ path: '/ask', method: 'POST', body: '{}' }, handler as never);
    return { ours: await ask(client), undicis: await handler.outcome };
  };
}

/** What has to be equal: not the words of an error, and nothing of what came before it. */
function essence({ status, headers, body, error }: Outcome): unknown {
  return error === null ? { status, headers: { ...headers }, body: body.toString('latin1') } : 'failed';
}

function show(wire: string): string {
  return JSON.stringify(wire.length > 200 ? `${wire.slice(0, 200)}...` : wire);
}

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const LAST = '0\r\n\r\n';

/** Read by both, alike. */
const READ: readonly string[] = [
  `${OK}Content-Length: 2\r\n\r\nok`,
  `${OK}content-length:2\r\n\r\nok`,
  `${OK}Content-Length: \t 2\r\n\r\nok`,
  `${OK}Content-Length: 0002\r\n\r\nok`,
  `${OK}Content-Length: 0\r\n\r\n`,
  `${OK}\r\nuntil the end`,
  `${OK}\r\n`,
  'HTTP/1.0 200 OK\r\n\r\nuntil the end',
  'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 299 A reason of its own\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 599 x\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
  `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
  `${OK}Set-Cookie: a=1\r\nset-cookie: b=2\r\nX-One: 1\r\nContent-Length: 0\r\n\r\n`,
  `${OK}X-Empty:\r\nContent-Length: 0\r\n\r\n`,
  `${OK}X-High: \x80\xe9\xff\r\nContent-Length: 0\r\n\r\n`,
  `${CHUNKED}2\r\nok\r\n${LAST}`,
  `${CHUNKED}2;name=value\r\nok\r\n0;last\r\n\r\n`,
  `${CHUNKED}2;name="quoted value"\r\nok\r\n${LAST}`,
  `${CHUNKED}2;name="a \\"quoted\\" value";other\r\nok\r\n${LAST}`,
  `${CHUNKED}a\r\n0123456789\r\nA\r\n0123456789\r\n${LAST}`,
  `${CHUNKED}0002\r\nok\r\n000\r\n\r\n`,
  `${CHUNKED}2\r\nok\r\n0\r\nX-Trailer: a\r\nX-More: b\r\n\r\n`,
  `${OK}transfer-encoding: CHUNKED\r\n\r\n2\r\nok\r\n${LAST}`,
  `${CHUNKED}${LAST}`,
];

/** Refused by both. */
const REFUSED: Readonly<Record<string, string>> = {
  'no response': '',
  'half a head': `${OK}Content-Length: 2\r\n`,
  'half a body': `${OK}Content-Length: 3\r\n\r\nok`,
  'half a chunk': `${CHUNKED}5\r\nok`,
  'no last chunk': `${CHUNKED}2\r\nok\r\n`,
  'no end of the trailers': `${CHUNKED}2\r\nok\r\n0\r\nX-Trailer: a\r\n`,
  'length and chunks': `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n${LAST}`,
  'chunks and length': `${OK}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n${LAST}`,
  'two lengths': `${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\nok`,
  'two lengths that agree': `${OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`,
  'a list of lengths': `${OK}Content-Length: 2, 2\r\n\r\nok`,
  'a length with a sign': `${OK}Content-Length: +2\r\n\r\nok`,
  'a negative length': `${OK}Content-Length: -2\r\n\r\nok`,
  'a length in hexadecimal': `${OK}Content-Length: 0x2\r\n\r\nok`,
  'a length with a blank inside': `${OK}Content-Length: 2 0\r\n\r\n${'a'.repeat(20)}`,
  'a length that no number holds': `${OK}Content-Length: 99999999999999999999\r\n\r\nok`,
  'a length of the size of the text': `${OK}Content-Length: two\r\n\r\nok`,
  'a line that ends with LF alone': `${OK}X-Bare: a\nContent-Length: 2\r\n\r\nok`,
  'a folded line': `${OK}X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\nok`,
  'a space before the colon': `${OK}Content-Length : 2\r\n\r\nok`,
  'a name with a space': `${OK}X Name: a\r\nContent-Length: 2\r\n\r\nok`,
  'a line without a colon': `${OK}nothing\r\nContent-Length: 2\r\n\r\nok`,
  'no name': `${OK}: a\r\nContent-Length: 2\r\n\r\nok`,
  'NUL in a value': `${OK}X-Nul: a\0b\r\nContent-Length: 2\r\n\r\nok`,
  'a control character in a value': `${OK}X-Bell: a\x07b\r\nContent-Length: 2\r\n\r\nok`,
  'CR in a value': `${OK}X-Cr: a\rb\r\nContent-Length: 2\r\n\r\nok`,
  'a letter of obs-text in a name': `${OK}X-\xe9: a\r\nContent-Length: 2\r\n\r\nok`,
  'a head of more than 16 KiB': `${OK}X-Large: ${'a'.repeat(16_400)}\r\nContent-Length: 2\r\n\r\nok`,
  'HTTP/0.9': 'ok',
  'another protocol': 'ICY 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'a status of two digits': 'HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok',
  'a status of four digits': 'HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok',
  'a protocol in lower case': 'http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'an upgrade that nobody asked for':
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  'a chunk size with a sign': `${CHUNKED}+2\r\nok\r\n${LAST}`,
  'a negative chunk size': `${CHUNKED}-2\r\nok\r\n${LAST}`,
  'a chunk size with a prefix': `${CHUNKED}0x2\r\nok\r\n${LAST}`,
  'a chunk size with a space before it': `${CHUNKED} 2\r\nok\r\n${LAST}`,
  'a chunk size with a space behind it': `${CHUNKED}2 \r\nok\r\n${LAST}`,
  'a chunk size with a tab behind it': `${CHUNKED}2\t\r\nok\r\n${LAST}`,
  'an extension behind a space': `${CHUNKED}2 ;a\r\nok\r\n${LAST}`,
  'two chunk sizes': `${CHUNKED}2 2\r\nok\r\n${LAST}`,
  'no chunk size': `${CHUNKED}\r\nok\r\n${LAST}`,
  'a chunk size of 17 digits': `${CHUNKED}fffffffffffffffff\r\nok\r\n${LAST}`,
  'a chunk that is longer than it says': `${CHUNKED}2\r\nokay\r\n${LAST}`,
  'a bare LF behind a chunk size': `${CHUNKED}2\nok\r\n${LAST}`,
  'a bare LF behind a chunk': `${CHUNKED}2\r\nok\n${LAST}`,
  'a bare LF behind an extension': `${CHUNKED}2;a\nok\r\n${LAST}`,
  'a bare CR behind a chunk size': `${CHUNKED}2\rXok\r\n${LAST}`,
  'an extension without a name': `${CHUNKED}2;\r\nok\r\n${LAST}`,
  'an extension with a quote that does not end': `${CHUNKED}2;a="b\r\nok\r\n${LAST}`,
  'an extension of two words': `${CHUNKED}2;a b\r\nok\r\n${LAST}`,
  'a trailer without a colon': `${CHUNKED}2\r\nok\r\n0\r\nnothing\r\n\r\n`,
  'a trailer with a space before its colon': `${CHUNKED}2\r\nok\r\n0\r\nX : a\r\n\r\n`,
  'NUL in a trailer': `${CHUNKED}2\r\nok\r\n0\r\nX: \0\r\n\r\n`,
  'NUL in an extension': `${CHUNKED}2;a=\0\r\nok\r\n${LAST}`,
};

/** Bytes that mean something to a parser, or should mean nothing. */
const BYTES: readonly string[] = [...'\r\n\t :;,=+-."0159afgzHx\0\x07\x7f\x80\xff', '\r\n'];

/** Refused by ours alone. The reason is the key. */
const STRICTER: Readonly<Record<string, string>> = {
  'HTTP/2 has no such lines': 'HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'gzip is a coding that nobody undoes': `${OK}Transfer-Encoding: gzip\r\n\r\nok`,
  'chunks of gzip are no body': `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n${LAST}`,
  'a coding that is none': `${OK}Transfer-Encoding: identity\r\n\r\nok`,
  'an empty line is no beginning': `\r\n${OK}Content-Length: 2\r\n\r\nok`,
  'a length of 16 digits, which JavaScript would round': `${OK}Content-Length: 0000000000000002\r\n\r\nok`,
};

test('what both read gives the same status, headers and body', async (t) => {
  const askBoth = await startBoth(t);
  for (const wire of READ) {
    const { ours, undicis } = await askBoth(wire);
    assert.equal(ours.error, null, show(wire));
    assert.deepEqual(essence(ours), essence(undicis), show(wire));
  }
});

test('what undici refuses is refused', async (t) => {
  const askBoth = await startBoth(t);
  for (const [name, wire] of Object.entries(REFUSED)) {
    const { ours, undicis } = await askBoth(wire);
    assert.notEqual(undicis.error, null, name);
    assert.match(ours.error?.code ?? 'none', /^HTTP1_(INVALID_RESPONSE|CLOSED)$/, name);
  }
});

test('where undici guesses, the response is refused', async (t) => {
  const askBoth = await startBoth(t);
  for (const [name, wire] of Object.entries(STRICTER)) {
    const { ours, undicis } = await askBoth(wire);
    assert.equal(undicis.error, null, name);
    assert.equal(ours.error?.code, 'HTTP1_INVALID_RESPONSE', name);
  }
});

/**
 * RFC 9110 is on our side there: white space behind a value is none of it (section 5.5), and a client has to read past
 * a 100 that it has not asked for (section 15.2).
 */
const UNDICI_IS_WRONG = /[ \t]\r\n|HTTP\/1\.\d 100/;

test('a response with a broken byte is never read otherwise than by undici', async (t) => {
  const askBoth = await startBoth(t);
  const broken = fc
    .record({
      wire: fc.constantFrom(...READ),
      at: fc.nat(300),
      byte: fc.constantFrom(...BYTES),
      isMore: fc.boolean(),
    })
    .map(({ wire, at, byte, isMore }) => {
      const place = at % wire.length;
      return wire.slice(0, place) + byte + wire.slice(isMore ? place : place + 1);
    });
  await fc.assert(
    fc.asyncProperty(broken, async (wire) => {
      fc.pre(!UNDICI_IS_WRONG.test(wire));
      const { ours, undicis } = await askBoth(wire);
      if (ours.error === null) assert.deepEqual(essence(ours), essence(undicis));
    }),
    { numRuns: 1_000 },
  );
});
