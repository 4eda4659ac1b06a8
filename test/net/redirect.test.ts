import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, it } from 'node:test';
import { policyFor, serve } from './loopback.ts';

function redirect(res: ServerResponse, location: string, status: number = 302): void {
  res.writeHead(status, { location }).end();
}

const refusedWith = (reason: string) => ({ code: 'ssrf_blocked', reason });

describe('fetch, redirects to refused targets', () => {
  const targets: readonly [location: string, reason: string][] = [
    ['http://169.254.169.254/latest/meta-data/', 'address'],
    ['//169.254.169.254/', 'address'],
    ['http://[::ffff:a9fe:a9fe]/', 'address'],
    ['http://2852039166/', 'address'],
    ['http://127.0.0.2/', 'address'],
    ['http://0/', 'address'],
    ['http:\\\\10.0.0.1\\', 'address'],
    ['http://inner.example.com/', 'address'],
    ['http://mixed.example.com/', 'address'],
    ['http://gone.example.com/', 'dns'],
    ['http://localhost/', 'hostname'],
    ['http://metadata.google.internal/', 'hostname'],
    ['http://user:pass@127.0.0.1/', 'userinfo'],
    ['file:///etc/passwd', 'scheme'],
    ['ftp://example.com/', 'scheme'],
    ['data:text/plain,x', 'scheme'],
    ['http://[', 'redirect'],
    ['http://127.0.0.1:99999/', 'redirect'],
  ];
  for (const [location, reason] of targets) {
    it(`${location} -> ${reason}`, async (t) => {
      const server = await serve(t, (_req, res) => redirect(res, location));
      const policy = policyFor(t, {
        names: { 'inner.example.com': ['127.0.0.2'], 'mixed.example.com': ['127.0.0.1', '10.0.0.1'] },
      });
      await assert.rejects(policy.fetch(server.origin), refusedWith(reason));
      assert.equal(server.requests.length, 1);
    });
  }

  it('refuses the second hop as it does the first', async (t) => {
    const inner = await serve(t, (_req, res) => res.end('secret'), '127.0.0.2');
    const outer = await serve(t, (req, res) =>
      redirect(res, req.url === '/' ? '/again' : `http://inner.example.com:${inner.port}/`),
    );
    const policy = policyFor(t, { names: { 'inner.example.com': ['127.0.0.2'] } });
    await assert.rejects(policy.fetch(outer.origin), refusedWith('address'));
    assert.equal(inner.connections.length, 0);
  });

  it('does not carry the trust of an excepted URL over to where it redirects', async (t) => {
    const server = await serve(t, (_req, res) => redirect(res, '/admin'));
    const policy = policyFor(t, { cidrs: [], urls: [`${server.origin}/hooks`] });
    await assert.rejects(policy.fetch(`${server.origin}/hooks`), refusedWith('address'));
    assert.equal(server.requests.length, 1);
  });

  it('stops after 20 redirects', async (t) => {
    const server = await serve(t, (_req, res) => redirect(res, '/'));
    await assert.rejects(policyFor(t).fetch(server.origin), refusedWith('redirect'));
    assert.equal(server.requests.length, 21);
  });
});

describe('fetch, redirects to another origin', () => {
  const CREDENTIALS = {
    authorization: 'Bearer secret',
    cookie: 'session=secret',
    'x-api-key': 'secret',
    'api-key': 'secret',
    'x-goog-api-key': 'secret',
    'x-amz-security-token': 'secret',
    'x-custom': 'secret',
    referer: 'http://secret/',
  };

  it('carry only harmless headers, also when a later hop comes back', async (t) => {
    const home = await serve(t, (req, res) =>
      req.url === '/' ? redirect(res, `${away.origin}/`, 307) : res.end('done'),
    );
    const away = await serve(t, (_req, res) => redirect(res, `${home.origin}/back`, 307));
    const response = await policyFor(t).fetch(`${home.origin}/`, {
      method: 'POST',
      body: '{}',
      headers: { ...CREDENTIALS, 'content-type': 'application/json', 'accept-language': 'en' },
    });
    assert.equal(await response.text(), 'done');
    assert.equal(response.url, `${home.origin}/back`);
    assert.equal(response.redirected, true);
    for (const name of Object.keys(CREDENTIALS)) {
      assert.notEqual(home.requests[0]?.headers[name], undefined, name);
      assert.equal(away.requests[0]?.headers[name], undefined, name);
      assert.equal(home.requests[1]?.headers[name], undefined, name);
    }
    assert.equal(away.requests[0]?.headers['content-type'], 'application/json');
    assert.equal(away.requests[0]?.headers['accept-language'], 'en');
  });

  it('another port, name or scheme is another origin', async (t) => {
    const server = await serve(t, (req, res) =>
      req.url === '/' ? redirect(res, `http://b.example.com:${server.port}/b`) : res.end(),
    );
    const names = { 'a.example.com': ['127.0.0.1'], 'b.example.com': ['127.0.0.1'] };
    await policyFor(t, { names }).fetch(`http://a.example.com:${server.port}/`, { headers: CREDENTIALS });
    assert.equal(server.requests[1]?.headers.authorization, undefined);
  });

  it('within one origin headers stay', async (t) => {
    const server = await serve(t, (req, res) => (req.url === '/' ? redirect(res, 'next') : res.end()));
    await policyFor(t).fetch(`${server.origin}/`, { headers: CREDENTIALS });
    assert.equal(server.requests[1]?.headers['x-api-key'], 'secret');
  });
});

describe('fetch, redirects as the Fetch standard has them', () => {
  const rules: readonly [status: number, method: string, next: string, keepsBody: boolean][] = [
    [301, 'GET', 'GET', false],
    [301, 'POST', 'GET', false],
    [301, 'PUT', 'PUT', true],
    [302, 'POST', 'GET', false],
    [302, 'DELETE', 'DELETE', true],
    [302, 'HEAD', 'HEAD', false],
    [303, 'POST', 'GET', false],
    [303, 'PUT', 'GET', false],
    [303, 'HEAD', 'HEAD', false],
    [307, 'POST', 'POST', true],
    [308, 'PUT', 'PUT', true],
    [307, 'GET', 'GET', false],
  ];
  for (const [status, method, next, keepsBody] of rules) {
    it(`${method} after ${status} is ${next}`, async (t) => {
      const bodies: string[] = [];
      const server = await serve(t, async (req, res) => {
        bodies.push((await req.toArray()).join(''));
        if (req.url === '/') redirect(res, '/next', status);
        else res.end();
      });
      const hasBody = method !== 'GET' && method !== 'HEAD';
      await policyFor(t).fetch(`${server.origin}/`, {
        method,
        ...(hasBody
          ? { body: new TextEncoder().encode('body'), headers: { 'content-type': 'text/plain' } }
          : {}),
      });
      const [, second] = server.requests;
      assert.equal(second?.method, next);
      assert.equal(bodies[1], keepsBody ? 'body' : '');
      assert.equal(second?.headers['content-type'], keepsBody ? 'text/plain' : undefined);
    });
  }

  it('a form can be sent again', async (t) => {
    const types: unknown[] = [];
    const server = await serve(t, async (req, res) => {
      types.push([req.headers['content-type'], (await req.toArray()).join('').includes('value')]);
      if (req.url === '/') redirect(res, '/next', 307);
      else res.end();
    });
    const body = new FormData();
    body.set('name', 'value');
    await policyFor(t).fetch(`${server.origin}/`, { method: 'POST', body });
    assert.deepEqual(types[0], types[1]);
    assert.match(String(types[0]), /multipart\/form-data; boundary=.*,true/);
  });

  it('a stream cannot', async (t) => {
    const server = await serve(t, async (req, res) => {
      await req.toArray();
      redirect(res, '/next', 307);
    });
    const body = new Blob(['streamed']).stream();
    await assert.rejects(policyFor(t).fetch(server.origin, { method: 'POST', body }), { name: 'TypeError' });
    assert.equal(server.requests.length, 1);
  });

  it('manual gives the answer itself, error fails', async (t) => {
    const server = await serve(t, (_req, res) => redirect(res, 'http://169.254.169.254/'));
    const policy = policyFor(t);
    const response = await policy.fetch(server.origin, { redirect: 'manual' });
    assert.equal(response.status, 302);
    assert.equal(response.redirected, false);
    assert.equal(response.headers.get('location'), 'http://169.254.169.254/');
    await assert.rejects(policy.fetch(server.origin, { redirect: 'error' }), { name: 'TypeError' });
  });

  it('an answer without Location is the answer', async (t) => {
    const server = await serve(t, (_req, res) => res.writeHead(302).end('stay'));
    assert.equal(await (await policyFor(t).fetch(server.origin)).text(), 'stay');
  });

  it('Location may be relative and hold UTF-8', async (t) => {
    const server = await serve(t, (req, res) => {
      if (req.url !== '/a/b') res.end(req.url);
      else res.writeHead(302, { location: Buffer.from('ü').toString('latin1') }).end();
    });
    const response = await policyFor(t).fetch(`${server.origin}/a/b#part`);
    assert.equal(await response.text(), '/a/%C3%BC');
  });
});
