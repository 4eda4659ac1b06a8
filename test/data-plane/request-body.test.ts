import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { deployment, post, serve } from '../support/data-plane.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

const ECHO = '{"model":"echo","messages":[{"role":"user","content":"x"}]}';

describe('what a request body has to be', () => {
  const refused: [name: string, body: string | Buffer, status: number, code: string, param: string | null][] =
    [
      ['empty', '', 400, 'invalid_json', null],
      ['cut', '{"model":"echo"', 400, 'invalid_json', null],
      ['a list', '[]', 400, 'invalid_json', null],
      ['null', 'null', 400, 'invalid_json', null],
      ['a comment', '{"model":"echo"/* */}', 400, 'invalid_json', null],
      ['a byte order mark', '\ufeff{"model":"echo"}', 400, 'invalid_json', null],
      ['no UTF-8', Buffer.from('{"model":"ech\xff"}', 'latin1'), 400, 'invalid_json', null],
      ['a line feed in a string', '{"model":"echo\n"}', 400, 'invalid_json', null],
      [
        'nested too deep',
        `{"model":"echo","x":${'['.repeat(300)}${']'.repeat(300)}}`,
        400,
        'invalid_json',
        null,
      ],
      ['two models', '{"model":"echo","model":"gpt-4o"}', 400, 'invalid_json', null],
      ['two models, one escaped', '{"model":"echo","mod\\u0065l":"gpt-4o"}', 400, 'invalid_json', null],
      ['a model in another case', '{"model":"echo","Model":"gpt-4o"}', 400, 'invalid_json', null],
      ['two streams', '{"model":"echo","stream":false,"stream":true}', 400, 'invalid_json', null],
      ['no model', '{"messages":[]}', 400, 'invalid_request', 'model'],
      ['a blank model', '{"model":" "}', 400, 'invalid_request', 'model'],
      ['a model that is no string', '{"model":1}', 400, 'invalid_request', 'model'],
      ['a stream that is no boolean', '{"model":"echo","stream":"true"}', 400, 'invalid_request', 'stream'],
      ['an unknown model', '{"model":"nope"}', 404, 'model_not_found', 'model'],
    ];
  for (const [name, body, status, code, param] of refused) {
    it(`refuses ${name}`, async (t) => {
      const { url } = await serve(t);
      const response = await post(url, typeof body === 'string' ? body : new Uint8Array(body));
      assert.equal(response.status, status);
      assert.equal(response.headers.get('x-llmrouter-deployment'), 'none');
      const { error } = (await response.json()) as { error: Record<string, unknown> };
      assert.deepEqual(
        { type: error.type, code: error.code, param: error.param },
        { type: 'invalid_request_error', code, param },
      );
    });
  }

  for (const [name, headers, status] of [
    ['text/plain', { 'content-type': 'text/plain' }, 415],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['UTF-16', { 'content-type': 'application/json; charset=utf-16' }, 415],
    ['gzip', { 'content-encoding': 'gzip' }, 415],
    ['JSON with parameters', { 'content-type': 'Application/JSON; charset="UTF-8"' }, 200],
    ['a +json type', { 'content-type': 'application/vnd.acme+json' }, 200],
    ['identity', { 'content-encoding': 'identity' }, 200],
  ] as const) {
    it(`answers ${name} with ${status}`, async (t) => {
      const { url } = await serve(t);
      const response = await post(url, ECHO, headers);
      assert.equal(response.status, status);
      if (status === 200) return;
      const { error } = (await response.json()) as { error: { code: string } };
      assert.equal(error.code, 'unsupported_media_type');
    });
  }

  it('takes a missing content type for JSON', async (t) => {
    const { url } = await serve(t);
    const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: Buffer.from(ECHO) });
    assert.equal(response.status, 200);
  });

  it('refuses a body that is announced as too large before it is sent', async (t) => {
    const { port } = await serve(t, { bodyLimit: 100 });
    const req = request({
      port,
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { 'content-length': 1000 },
    });
    req.flushHeaders();
    const [res] = await once(req, 'response');
    assert.equal(res.statusCode, 413);
    req.destroy();
  });

  it('refuses a body of unknown length as soon as it is too large, and the connection stays usable', async (t) => {
    const { port } = await serve(t, { bodyLimit: 100 });
    const req = request({ port, method: 'POST', path: '/v1/chat/completions' });
    req.write('x'.repeat(150));
    const [res] = await once(req, 'response');
    let body = '';
    for await (const part of res) body += part;
    assert.equal(res.statusCode, 413);
    assert.equal(JSON.parse(body).error.code, 'body_too_large');
    req.end();
    await once(req, 'close');
  });

  it('takes a body of exactly the limit, after Expect: 100-continue too', async (t) => {
    const { port } = await serve(t, { bodyLimit: Buffer.byteLength(ECHO) });
    const req = request({
      port,
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { expect: '100-continue', 'content-length': Buffer.byteLength(ECHO) },
    });
    req.flushHeaders();
    await once(req, 'continue');
    req.end(ECHO);
    const [res] = await once(req, 'response');
    assert.equal(res.statusCode, 200);
    res.resume();
  });
});

describe('a body that a middleware has read', () => {
  const parsed = JSON.parse(ECHO);
  for (const [name, body] of [
    ['an object', parsed],
    ['a string', ECHO],
    ['bytes', Buffer.from(ECHO)],
  ] as const) {
    it(`is taken as it is left: ${name}`, async (t) => {
      const { url } = await serve(t, {
        async before(req) {
          for await (const _ of req);
          req.body = body;
        },
      });
      assert.equal((await post(url, 'something else')).status, 200);
    });
  }

  it('is refused when nothing of it is left', async (t) => {
    const { url } = await serve(t, {
      async before(req) {
        for await (const _ of req);
      },
    });
    assert.equal((await post(url, ECHO)).status, 400);
  });
});

describe('the bytes that an upstream gets', () => {
  const ODD =
    '{ "seed":12345678901234567890, "temperature": 1.0,\n "x_unknown":{"b":1,"a":2}, "model" : "gpt-4o" , ' +
    '"messages":[{"role":"user","content":"caf\\u00e9 \\ud83d\\ude00 \u00fc"}], "n":1e0 }';

  it('are those of the client', async (t) => {
    const upstream = await upstreamFor(t);
    const { url } = await serve(t, { deployments: [deployment(upstream.url)] });
    await post(url, ODD);
    assert.equal(upstream.requests[0]?.body.toString(), ODD);
    assert.equal(upstream.requests[0]?.path, '/v1/chat/completions');
  });

  it("differ in the model's name alone when the deployment calls it otherwise", async (t) => {
    const upstream = await upstreamFor(t);
    const { url } = await serve(t, { deployments: [deployment(upstream.url, { model: 'o"dd/néme' })] });
    await post(url, ODD);
    assert.equal(upstream.requests[0]?.body.toString(), ODD.replace('"gpt-4o"', '"o\\"dd/néme"'));
  });
});

async function upstreamFor(t: TestContext): Promise<Upstream> {
  const upstream = await startUpstream();
  t.after(() => upstream.close());
  return upstream;
}
