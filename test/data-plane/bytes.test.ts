import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { createConnection } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import type { LlmPhases } from '../../src/pipeline/types.ts';
import type { CallRecord } from '../../src/plugin-api/exporter.ts';
import { deployment, postTo, routing, type ServedPlane, serve } from '../support/data-plane.ts';
import { emptyPipeline } from '../support/pipeline.ts';
import { hangUp, json, raw, type Script, startUpstream, text, type Upstream } from '../support/upstream.ts';

const SPEECH = '/v1/audio/speech';
const BODY = '{"model":"gpt-4o","input":"Hello","voice":"alloy"}';
/** Every byte there is, and what looks like the end of an event stream. */
const AUDIO = Buffer.concat([
  Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  Buffer.from('\n\ndata: [DONE]\n\nmore'),
]);
const GUARD = { plugin: 'pii', what: 'evaluator "pii"' };

describe('an answer of bytes', () => {
  it('passes as it came, with its type and its length', async (t) => {
    const records: CallRecord[] = [];
    const { url, upstream } = await gateway(t, audio(AUDIO), {}, (record) => void records.push(record));
    const response = await postTo(url, SPEECH, BODY);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'audio/mpeg');
    assert.equal(response.headers.get('content-length'), String(AUDIO.length));
    assert.equal(response.headers.get('x-llmrouter-deployment'), 'gpt-4o/0');
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), AUDIO);
    assert.equal(upstream.requests[0]?.path, SPEECH);
    assert.equal(upstream.requests[0]?.headers.accept, '*/*');
    assert.equal(upstream.requests[0]?.body.toString(), BODY);
    assert.deepEqual([records[0]?.surface, records[0]?.error], ['audio.speech', null]);
  });

  it('goes on piece by piece, not at its end', async (t) => {
    const first = Promise.withResolvers<void>();
    const { url } = await gateway(t, async (_request, res) => {
      res.writeHead(200, { 'content-type': 'audio/mpeg' }).write('first');
      await first.promise;
      res.end('rest');
    });
    const response = await postTo(url, SPEECH, BODY);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), 'first');
    first.resolve();
    assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), 'rest');
    assert.equal((await reader.read()).done, true);
  });

  it('may be events: they are between the client and the upstream', async (t) => {
    const events = 'data: {"type":"speech.audio.delta"}\n\ndata: {"type":"speech.audio.done"}\n\n';
    const { url } = await gateway(t, text(events, 200, 'text/event-stream'));
    const body = '{"model":"gpt-4o","stream_format":"sse","stream":"yes"}';
    const response = await postTo(url, SPEECH, body);
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    assert.equal(await response.text(), events);
  });

  it('may be empty, or JSON', async (t) => {
    const { url, upstream } = await gateway(t, audio(Buffer.alloc(0)));
    assert.equal((await (await postTo(url, SPEECH, BODY)).arrayBuffer()).byteLength, 0);
    upstream.answer(text('{ "n":1.0 }', 200, 'application/json'));
    assert.equal(await (await postTo(url, SPEECH, BODY)).text(), '{ "n":1.0 }');
  });

  for (const [name, head] of [
    ['shorter than announced', 'content-length: 100\r\n\r\nhalf an answer'],
    ['without its last chunk', 'transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ] as const) {
    it(`that is ${name} is no whole answer for the client`, async (t) => {
      const records: CallRecord[] = [];
      const script = raw(`HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\n${head}`);
      const { url } = await gateway(t, script, {}, (record) => void records.push(record));
      await assert.rejects(async () => (await postTo(url, SPEECH, BODY)).arrayBuffer());
      assert.equal(records[0]?.error, 'upstream_error');
    });
  }

  it('whose end cannot be told from a cut is an error', async (t) => {
    const { url } = await gateway(t, raw('HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\n\r\naudio'));
    assert.deepEqual(await errorOf(await postTo(url, SPEECH, BODY)), [502, 'upstream_error']);
  });

  it('that breaks before its first byte, or is a page, is tried elsewhere', async (t) => {
    const other = await startUpstream(audio(AUDIO));
    t.after(() => other.close());
    for (const script of [hangUp, text('<html></html>', 200, 'text/html'), json({}, 500)]) {
      const upstream = await startUpstream(script);
      t.after(() => upstream.close());
      const { url } = await serve(t, {
        deployments: [
          deployment(upstream.url, { weight: 1 }),
          deployment(other.url, { id: 'gpt-4o/1', weight: 0 }),
        ],
        routing: routing({ numRetries: 1 }),
      });
      const response = await postTo(url, SPEECH, BODY);
      assert.equal(response.headers.get('x-llmrouter-attempts'), '2');
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), AUDIO);
    }
  });

  it('ends its upstream when the client hangs up', async (t) => {
    const { port, upstream } = await gateway(
      t,
      (_request, res) => void res.writeHead(200, { 'content-type': 'audio/mpeg' }).write('x'),
    );
    const next = upstream.nextRequest();
    const req = request({ port, method: 'POST', path: SPEECH });
    req.end(BODY);
    const [res] = await once(req, 'response');
    res.on('error', () => undefined);
    req.destroy();
    await (await next).aborted;
  });

  it('waits for a client that reads slowly', async (t) => {
    const total = 64 * 1024 * 1024;
    const piece = Buffer.alloc(64 * 1024);
    const stalled = Promise.withResolvers<number>();
    const { port } = await gateway(t, async (_request, res) => {
      res.writeHead(200, { 'content-type': 'audio/mpeg' });
      let written = 0;
      while (written < total && !res.destroyed) {
        written += piece.length;
        if (res.write(piece)) continue;
        const drained = once(res, 'drain', { signal: AbortSignal.timeout(1000) });
        if ((await drained.catch(() => null)) === null) break;
      }
      stalled.resolve(written);
    });
    const socket = createConnection(port, '127.0.0.1');
    socket.pause();
    socket.write(`POST ${SPEECH} HTTP/1.1\r\nhost: x\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`);
    const accepted = await stalled.promise;
    socket.destroy();
    assert.ok(accepted < total / 2, `${accepted} bytes were taken from the upstream`);
  });
});

describe('a guard that cannot run', () => {
  it('refuses the request, before any upstream', async (t) => {
    const { url, upstream } = await gateway(t, audio(AUDIO), { outputGuard: GUARD });
    const response = await postTo(url, SPEECH, BODY);
    assert.equal(response.status, 503);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    assert.equal(error.code, 'evaluator_unavailable');
    assert.equal(error.message, `The evaluator "pii" cannot run on ${SPEECH}`);
    assert.equal(upstream.requests.length, 0);
  });

  it('is none on the side that it does not judge, nor where it can run', async (t) => {
    const seen: string[] = [];
    const { url, upstream } = await gateway(t, audio(AUDIO), {
      inputGuard: GUARD,
      evaluateInput: async ({ surface, body }) => void seen.push(`${surface} ${String(body.input)}`),
      observeOutput: () => assert.fail('nobody can read bytes'),
    });
    assert.equal((await postTo(url, SPEECH, BODY)).status, 200);
    assert.deepEqual(seen, ['audio.speech Hello']);
    upstream.answer(json({ data: [] }));
    const guarded = await serve(t, {
      deployments: [deployment(upstream.url)],
      pipeline: emptyPipeline({ llm: { inputGuard: GUARD, outputGuard: GUARD } }),
    });
    assert.equal((await postTo(guarded.url, '/v1/embeddings', '{"model":"gpt-4o"}')).status, 200);
  });
});

function audio(bytes: Buffer): Script {
  return (_request, res) => {
    res.writeHead(200, { 'content-type': 'audio/mpeg', 'content-length': bytes.length }).end(bytes);
  };
}

async function errorOf(response: Response): Promise<[status: number, code: string]> {
  const { error } = (await response.json()) as { error: { code: string } };
  return [response.status, error.code];
}

async function gateway(
  t: TestContext,
  script: Script,
  llm: Partial<LlmPhases> = {},
  exporter: ((record: CallRecord) => void) | null = null,
): Promise<ServedPlane & { readonly upstream: Upstream }> {
  const upstream = await startUpstream(script);
  t.after(() => upstream.close());
  const served = await serve(t, {
    deployments: [deployment(upstream.url)],
    pipeline: emptyPipeline({ llm, export: exporter }),
  });
  return { ...served, upstream };
}
