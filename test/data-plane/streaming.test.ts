import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { chat, dataOf, deployment, post, type ServedPlane, serve } from '../support/data-plane.ts';
import {
  chatStream,
  cutStream,
  DONE,
  delta,
  hangUp,
  nextTurn,
  type Script,
  silence,
  startUpstream,
  stream,
  type Upstream,
} from '../support/upstream.ts';

const WORDS = ['Hello', ' from', ' a', ' stream, ünïcödé 😀'];
const STREAM = chatStream(WORDS).join('');

describe('a stream', () => {
  it('reaches the client byte for byte', async (t) => {
    const odd = `: hello\n\nevent: x\r\ndata: {"choices":[ ],"n":1.0}\r\n\r\n${STREAM}`;
    const { url } = await gateway(t, stream([odd]));
    const response = await post(url, chat({ stream: true }));
    assert.equal(response.headers.get('cache-control'), 'no-cache');
    assert.equal(response.headers.get('x-llmrouter-attempts'), '1');
    assert.equal(await response.text(), odd);
  });

  it('goes on event by event, not at its end', async (t) => {
    const first = Promise.withResolvers<void>();
    const { url } = await gateway(
      t,
      stream([delta('one'), delta('two') + DONE], () => first.promise),
    );
    const response = await post(url, chat({ stream: true }));
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const { value } = await reader.read();
    assert.equal(Buffer.from(value as Uint8Array).toString(), delta('one'));
    first.resolve();
    const rest = await readAll(reader);
    assert.equal(rest, delta('two') + DONE);
  });

  it('is the same wherever its chunks begin, inside [DONE] too', async (t) => {
    const bytes = Buffer.from(chatStream(['x é']).join(''));
    const { url, upstream } = await gateway(t);
    for (let cut = bytes.length - 20; cut < bytes.length; cut++) {
      upstream.answer(stream([bytes.subarray(0, 50), bytes.subarray(50, cut), bytes.subarray(cut)]));
      assert.equal(await (await post(url, chat({ stream: true }))).text(), bytes.toString());
    }
  });

  it('that is cut anywhere ends in an error event, and never in [DONE]', async (t) => {
    const bytes = Buffer.from(STREAM);
    const { url, upstream } = await gateway(t);
    const end = bytes.length - '[DONE]\n\n'.length;
    await fc.assert(
      fc.asyncProperty(fc.nat(end), fc.boolean(), async (cut, clean) => {
        const part = [bytes.subarray(0, cut)];
        upstream.answer(clean ? stream(part) : cutStream(part));
        await assertBroken(await post(url, chat({ stream: true })));
      }),
      { numRuns: 80 },
    );
  });

  it('that lacks only the blank line behind [DONE] is complete', async (t) => {
    const { url } = await gateway(t, cutStream([STREAM.trimEnd()]));
    assert.equal(await (await post(url, chat({ stream: true }))).text(), STREAM);
  });

  it('is not complete because its text speaks of [DONE]', async (t) => {
    const { url } = await gateway(t, stream([delta('\n\ndata: [DONE]\n\n')]));
    await assertBroken(await post(url, chat({ stream: true })));
  });

  it('that stops sending is ended when its time is over', async (t) => {
    const { url } = await gateway(t, (_request, res) => void res.writeHead(200, SSE).write(delta('x')), {
      timeoutMs: 100,
    });
    const data = dataOf(await (await post(url, chat({ stream: true }))).text());
    assert.equal(JSON.parse(data.at(-1) ?? '').error.code, 'upstream_timeout');
  });

  it('that begins with an error is an ordinary error, with the status that it names', async (t) => {
    for (const [error, status, code] of [
      [{ message: 'slow down', code: 429 }, 429, 'rate_limit_exceeded'],
      [{ message: 'broken', type: 'server_error' }, 502, 'upstream_error'],
    ] as const) {
      const { url } = await gateway(t, stream([`data: ${JSON.stringify({ error })}\n\n`, DONE]));
      const response = await post(url, chat({ stream: true }));
      const body = (await response.json()) as { error: { code: string; message: string } };
      assert.deepEqual([response.status, body.error.code, body.error.message], [status, code, error.message]);
    }
  });

  it('is a stream although its first event has a member that is called error', async (t) => {
    const odd = 'data: {"choices":[],"error":{"code":500}}\n\n';
    const { url } = await gateway(t, stream([odd, DONE]));
    assert.equal(await (await post(url, chat({ stream: true }))).text(), odd + DONE);
  });

  it('that breaks before its first event is an ordinary error', async (t) => {
    const { url, upstream } = await gateway(t, cutStream(['data: {"ch']));
    for (const script of [cutStream(['data: {"ch']), hangUp, stream([])]) {
      upstream.answer(script);
      const response = await post(url, chat({ stream: true }));
      assert.equal(response.status, 502);
      assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
    }
  });
});

describe('a client that hangs up', () => {
  it('ends the upstream while it is silent', async (t) => {
    const { url, upstream } = await gateway(t, silence);
    const controller = new AbortController();
    const next = upstream.nextRequest();
    const answer = post(url, chat(), {}, controller.signal);
    const request = await next;
    controller.abort();
    await assert.rejects(answer);
    await request.aborted;
  });

  it('ends the upstream in the middle of a stream', async (t) => {
    const { url, upstream } = await gateway(
      t,
      (_request, res) => void res.writeHead(200, SSE).write(delta('x')),
    );
    const controller = new AbortController();
    const next = upstream.nextRequest();
    const response = await post(url, chat({ stream: true }), {}, controller.signal);
    const request = await next;
    controller.abort();
    await assert.rejects(response.text());
    await request.aborted;
  });

  it('leaves the gateway well when it goes before its body is complete', async (t) => {
    const { url, port } = await gateway(t, stream(chatStream(['x'])));
    const socket = createConnection(port, '127.0.0.1');
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"mo');
    await once(socket, 'connect');
    await nextTurn();
    socket.destroy();
    assert.equal((await post(url, chat({ stream: true }))).status, 200);
  });
});

describe('a client that reads slowly', () => {
  it('slows the upstream down, instead of filling the memory', async (t) => {
    const total = 64 * 1024 * 1024;
    const event = delta('x'.repeat(64 * 1024));
    const stalled = Promise.withResolvers<number>();
    const { port } = await gateway(t, async (_request, res) => {
      res.writeHead(200, SSE);
      let written = 0;
      while (written < total && !res.destroyed) {
        written += event.length;
        if (res.write(event)) continue;
        const quiet = await waitForDrain(res);
        if (quiet) stalled.resolve(written);
      }
      stalled.resolve(written);
    });
    const socket = createConnection(port, '127.0.0.1');
    const body = chat({ stream: true });
    socket.pause();
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    const accepted = await stalled.promise;
    socket.destroy();
    // What sockets and their buffers hold on the way; far from the whole.
    assert.ok(accepted < total / 2, `${accepted} bytes were taken from the upstream`);
  });
});

const SSE = { 'content-type': 'text/event-stream' };

/** True when nothing was taken for so long that the pause must be on purpose. */
async function waitForDrain(res: NodeJS.EventEmitter): Promise<boolean> {
  const timeout = AbortSignal.timeout(1000);
  try {
    await once(res, 'drain', { signal: timeout });
    return false;
  } catch {
    return true;
  }
}

/** No `[DONE]`, the last event an error, and every other one whole. */
async function assertBroken(response: Response): Promise<void> {
  const body = await response.text();
  assert.ok(!/^data: \[DONE\]/m.test(body), body);
  if (response.status !== 200) {
    assert.equal(response.status, 502);
    assert.equal(JSON.parse(body).error.code, 'upstream_error');
    return;
  }
  const data = dataOf(body).map((line) => JSON.parse(line));
  assert.equal(data.pop().error.code, 'upstream_error');
  for (const chunk of data) assert.ok('choices' in chunk);
}

async function readAll(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(parts).toString();
    parts.push(value);
  }
}

async function gateway(
  t: TestContext,
  script: Script = stream([]),
  fields: Parameters<typeof deployment>[1] = {},
): Promise<ServedPlane & { readonly upstream: Upstream }> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  return { ...(await serve(t, { deployments: [deployment(upstream.url, fields)] })), upstream };
}
