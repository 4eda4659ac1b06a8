import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { failedWith, policyFor, serve, serveRaw } from './loopback.ts';

const TEXT = 'All of it has arrived. '.repeat(500);
const HEAD = 'HTTP/1.1 200 OK\r\n';
const end = (socket: Socket) => socket.end();
const reset = (socket: Socket) => socket.resetAndDestroy();
const stayOpen = () => {};

describe('fetch, the response', () => {
  it('is a standard Response', async (t) => {
    const server = await serve(t, (req, res) => {
      res.writeHead(201, 'Made', { 'content-type': 'application/json', 'set-cookie': ['a=1', 'b=2'] });
      req.pipe(res);
    });
    const response = await policyFor(t).fetch(`${server.origin}/x#part`, { method: 'POST', body: '{"a":1}' });
    assert.ok(response instanceof Response);
    assert.deepEqual([response.status, response.statusText, response.ok], [201, 'Made', true]);
    assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2']);
    assert.equal(response.url, `${server.origin}/x`);
    assert.equal(response.redirected, false);
    assert.deepEqual(await response.clone().json(), { a: 1 });
    assert.deepEqual(await response.json(), { a: 1 });
  });

  it('streams: the first bytes arrive before the last are sent', async (t) => {
    const seen = Promise.withResolvers<void>();
    const server = await serve(t, async (_req, res) => {
      res.write('first');
      await seen.promise;
      res.end('last');
    });
    const response = await policyFor(t).fetch(server.origin);
    const reader = response.body?.getReader();
    assert.equal(new TextDecoder().decode((await reader?.read())?.value), 'first');
    seen.resolve();
    assert.equal(new TextDecoder().decode((await reader?.read())?.value), 'last');
    assert.equal((await reader?.read())?.done, true);
  });

  it('sends streams as they come', async (t) => {
    const server = await serve(t, (req, res) => req.pipe(res));
    const body = new Blob([TEXT]).stream();
    const response = await policyFor(t).fetch(server.origin, { method: 'POST', body });
    assert.equal(await response.text(), TEXT);
    assert.equal(server.requests[0]?.headers['transfer-encoding'], 'chunked');
  });

  it('has no body where HTTP has none', async (t) => {
    const server = await serve(t, (req, res) => {
      res.setHeader('content-length', req.method === 'HEAD' ? 1e12 : 0);
      res.statusCode = Number(req.url?.slice(1));
      res.end();
    });
    const policy = policyFor(t);
    assert.equal((await policy.fetch(`${server.origin}/200`, { method: 'HEAD' })).body, null);
    assert.equal((await policy.fetch(`${server.origin}/204`)).body, null);
    assert.equal((await policy.fetch(`${server.origin}/304`)).body, null);
    assert.equal(await (await policy.fetch(`${server.origin}/200`)).text(), '');
  });

  it('gives the connection up when its body is cancelled', async (t) => {
    const server = await serve(t, (_req, res) => res.write('first'));
    const response = await policyFor(t).fetch(server.origin);
    const closed = once(server.events, 'closed');
    await response.body?.cancel();
    await closed;
  });

  it('gives the connection up when a compressed body is cancelled that waits for more', async (t) => {
    const server = await serve(t, (_req, res) => {
      res.setHeader('content-encoding', 'gzip');
      res.write(gzipSync(TEXT).subarray(0, 5));
    });
    const response = await policyFor(t).fetch(server.origin);
    const reader = response.body?.getReader();
    const pending = reader?.read();
    const closed = once(server.events, 'closed');
    await reader?.cancel();
    await Promise.all([pending, closed]);
  });

  it('can be aborted when all of it has arrived but is not decompressed yet', async (t) => {
    const server = await serve(t, (_req, res) => {
      res.setHeader('content-encoding', 'gzip');
      res.end(gzipSync(Buffer.alloc(5_000_000)));
    });
    const controller = new AbortController();
    const reason = new Error('enough');
    const response = await policyFor(t).fetch(server.origin, { signal: controller.signal });
    const reader = response.body?.getReader();
    await reader?.read();
    controller.abort(reason);
    const rest = async () => {
      while ((await reader?.read())?.done === false);
    };
    await assert.rejects(rest, (error) => error === reason);
  });

  it('fails as the standard does when nobody listens or the answer is no HTTP', async (t) => {
    const policy = policyFor(t);
    await assert.rejects(policy.fetch('http://127.0.0.1:1/'), failedWith('ECONNREFUSED'));
    const server = await serveRaw(t, '220 smtp.example.com ESMTP\r\n', end);
    await assert.rejects(policy.fetch(server.origin), { name: 'TypeError', message: 'fetch failed' });
  });
});

describe('fetch, compressed answers', () => {
  const codings: Record<string, (text: string) => Buffer> = {
    gzip: gzipSync,
    'x-gzip': gzipSync,
    br: brotliCompressSync,
    deflate: deflateSync,
    'gzip, br': (text) => brotliCompressSync(gzipSync(text)),
    ' GZIP ': gzipSync,
    identity: (text) => Buffer.from(text),
    zstd: (text) => Buffer.from(text),
  };
  for (const [coding, compress] of Object.entries(codings)) {
    it(`read ${JSON.stringify(coding)}`, async (t) => {
      const server = await serve(t, (_req, res) => {
        res.setHeader('content-encoding', coding);
        res.end(compress(TEXT));
      });
      assert.equal(await (await policyFor(t).fetch(server.origin)).text(), TEXT);
      assert.equal(server.requests[0]?.headers['accept-encoding'], 'gzip, br');
    });
  }

  it('refuse more codings than anyone needs', async (t) => {
    const server = await serve(t, (_req, res) => {
      res.setHeader('content-encoding', 'gzip, gzip, gzip, gzip');
      res.end('x');
    });
    await assert.rejects(policyFor(t).fetch(server.origin), { name: 'TypeError' });
  });

  it('ask for no compression of a part', async (t) => {
    const server = await serve(t, (_req, res) => res.end());
    await policyFor(t).fetch(server.origin, { headers: { range: 'bytes=0-1' } });
    assert.equal(server.requests[0]?.headers['accept-encoding'], 'identity');
  });
});

describe('fetch, the cap on answers', () => {
  const limits = { maxResponseBytes: 10_000 };
  const tooLarge = { code: 'ssrf_blocked', reason: 'response_too_large' };

  it('refuses a stated length at once', async (t) => {
    const server = await serve(t, (_req, res) => res.setHeader('content-length', 10_001).write('x'));
    const closed = once(server.events, 'closed').catch(() => {});
    await assert.rejects(policyFor(t, { limits }).fetch(server.origin), tooLarge);
    await closed;
  });

  it('ends a stream that grows past it, and its connection', async (t) => {
    const server = await serve(t, (_req, res) => {
      for (let chunk = 0; chunk < 11; chunk++) res.write('x'.repeat(1000));
    });
    const response = await policyFor(t, { limits }).fetch(server.origin);
    await Promise.all([once(server.events, 'closed'), assert.rejects(response.text(), tooLarge)]);
  });

  it('lets an answer of exactly that size through', async (t) => {
    const server = await serve(t, (_req, res) => res.end('x'.repeat(10_000)));
    assert.equal((await (await policyFor(t, { limits }).fetch(server.origin)).text()).length, 10_000);
  });

  for (const [coding, compress] of Object.entries({
    gzip: gzipSync,
    br: brotliCompressSync,
    deflate: deflateSync,
  })) {
    it(`counts what ${coding} decompresses to`, async (t) => {
      const bomb = compress(Buffer.alloc(5_000_000));
      assert.ok(bomb.length < limits.maxResponseBytes);
      const server = await serve(t, (_req, res) => {
        res.setHeader('content-encoding', coding);
        res.end(bomb);
      });
      const response = await policyFor(t, { limits }).fetch(server.origin);
      await assert.rejects(response.text(), tooLarge);
    });
  }

  it('counts input that decompresses to nothing', async (t) => {
    const nothing = gzipSync('');
    const server = await serve(t, (_req, res) => {
      res.setHeader('content-encoding', 'gzip');
      for (let member = 0; member < 600; member++) res.write(nothing);
    });
    const response = await policyFor(t, { limits }).fetch(server.origin);
    await assert.rejects(response.text(), tooLarge);
  });

  it('stops the default 100 MB bomb', async (t) => {
    const bomb = gzipSync(Buffer.alloc(100_000_000));
    const server = await serve(t, (_req, res) => {
      res.setHeader('content-encoding', 'gzip');
      res.end(bomb);
    });
    await assert.rejects((await policyFor(t).fetch(server.origin)).text(), tooLarge);
  });
});

describe('fetch, answers that are cut short', () => {
  const gzip = gzipSync(TEXT);
  const half = gzip.subarray(0, gzip.length / 2);
  const cut: readonly [title: string, answer: string | Buffer, after: (socket: Socket) => void][] = [
    ['content-length, closed', `${HEAD}content-length: 100\r\n\r\nhalf`, end],
    ['content-length, reset', `${HEAD}content-length: 100\r\n\r\nhalf`, reset],
    ['content-length, nothing came', `${HEAD}content-length: 100\r\n\r\n`, end],
    ['chunked, no last chunk', `${HEAD}transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n`, end],
    ['chunked, within a chunk', `${HEAD}transfer-encoding: chunked\r\n\r\n40\r\nhalf`, end],
    ['chunked, reset', `${HEAD}transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n`, reset],
    ['close-delimited, closed', `${HEAD}connection: close\r\n\r\nhalf`, end],
    ['close-delimited, reset', `${HEAD}connection: close\r\n\r\nhalf`, reset],
    ['close-delimited, HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nhalf', end],
    ['close-delimited, unknown transfer coding', `${HEAD}transfer-encoding: gzip\r\n\r\nhalf`, end],
    [
      'gzip, whole by its length',
      Buffer.concat([
        Buffer.from(`${HEAD}content-encoding: gzip\r\ncontent-length: ${half.length}\r\n\r\n`),
        half,
      ]),
      stayOpen,
    ],
    [
      'gzip without its trailer',
      Buffer.concat([
        Buffer.from(`${HEAD}content-encoding: gzip\r\ncontent-length: ${gzip.length - 8}\r\n\r\n`),
        gzip.subarray(0, -8),
      ]),
      stayOpen,
    ],
    [
      'gzip, close-delimited',
      Buffer.concat([Buffer.from(`${HEAD}content-encoding: gzip\r\n\r\n`), half]),
      end,
    ],
    ['gzip of nothing', `${HEAD}content-encoding: gzip\r\nconnection: close\r\n\r\n`, end],
    [
      'brotli',
      Buffer.concat([
        Buffer.from(`${HEAD}content-encoding: br\r\n\r\n`),
        brotliCompressSync(TEXT).subarray(0, -4),
      ]),
      end,
    ],
  ];
  for (const [title, answer, after] of cut) {
    it(`fail: ${title}`, async (t) => {
      const server = await serveRaw(t, answer, after);
      const policy = policyFor(t);
      await assert.rejects(async () => (await policy.fetch(server.origin)).text(), { name: 'TypeError' });
    });
  }

  it('hand out what came before they fail', async (t) => {
    const server = await serveRaw(t, `${HEAD}connection: close\r\n\r\nhalf`, end);
    const reader = (await policyFor(t).fetch(server.origin)).body?.getReader();
    assert.equal(new TextDecoder().decode((await reader?.read())?.value), 'half');
    await assert.rejects(Promise.resolve(reader?.read()), { name: 'TypeError' });
  });

  it('a close-delimited answer is whole when its compression says so', async (t) => {
    const answer = Buffer.concat([Buffer.from(`${HEAD}content-encoding: gzip\r\n\r\n`), gzip]);
    const server = await serveRaw(t, answer, end);
    assert.equal(await (await policyFor(t).fetch(server.origin)).text(), TEXT);
  });
});
