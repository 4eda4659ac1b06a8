import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { Agent } from 'undici';
import { createConnector } from '../../src/net/connector.ts';
import type { LookupAll } from '../../src/net/guard.ts';
import { failedWith, listen, policyFor, serve } from './loopback.ts';

const PUBLIC = { address: '93.184.216.34', family: 4 };
const LOOPBACK = { address: '127.0.0.1', family: 4 };

/** Answers in turn, the last one for ever. */
function inTurn(...answers: readonly (typeof PUBLIC)[][]): LookupAll {
  let asked = 0;
  return async () => answers[Math.min(asked++, answers.length - 1)] ?? [];
}

const refusedWith = (reason: string) => ({ code: 'ssrf_blocked', reason });

describe('fetch, at connect', () => {
  it('refuses a name that flips to loopback after it was validated, and opens no connection', async (t) => {
    const server = await serve(t, (_req, res) => res.end());
    const policy = policyFor(t, { cidrs: [], names: inTurn([PUBLIC], [LOOPBACK]) });
    const url = `http://flip.example.com:${server.port}/`;
    assert.equal(await policy.validate(url), url);
    await assert.rejects(policy.fetch(url), refusedWith('address'));
    assert.equal(server.connections.length, 0);
  });

  it('refuses a name when only one of its answers is refused, wherever it stands', async (t) => {
    const server = await serve(t, (_req, res) => res.end());
    const names = {
      'last.example.com': ['127.0.0.1', '10.0.0.1'],
      'first.example.com': ['::1', '127.0.0.1'],
      'mapped.example.com': ['127.0.0.1', '::ffff:127.0.0.1'],
    };
    const policy = policyFor(t, { names });
    for (const name of Object.keys(names)) {
      await assert.rejects(policy.fetch(`http://${name}:${server.port}/`), refusedWith('address'), name);
    }
    assert.equal(server.connections.length, 0);
  });

  it('dials an address that it has checked, and sends the name as Host', async (t) => {
    const server = await serve(t, (req, res) => res.end(req.headers.host));
    const policy = policyFor(t, { names: { 'api.example.com': ['127.0.0.1'] } });
    const response = await policy.fetch(`http://api.example.com.:${server.port}/`);
    assert.equal(await response.text(), `api.example.com:${server.port}`);
    assert.equal(response.url, `http://api.example.com:${server.port}/`);
  });

  it('tries the next checked address when one does not answer', async (t) => {
    const server = await serve(t, (_req, res) => res.end('ok'), '127.0.0.2');
    const policy = policyFor(t, {
      cidrs: ['127.0.0.0/30'],
      names: { 'two.example.com': ['127.0.0.1', '127.0.0.2'] },
    });
    assert.equal(await (await policy.fetch(`http://two.example.com:${server.port}/`)).text(), 'ok');
  });

  it('refuses when the resolver fails or hangs', async (t) => {
    const failing = policyFor(t);
    await assert.rejects(failing.fetch('http://gone.example.com/'), refusedWith('dns'));
    const hanging = policyFor(t, { names: () => new Promise(() => {}), limits: { lookupTimeoutMs: 20 } });
    await assert.rejects(hanging.fetch('http://slow.example.com/'), refusedWith('dns'));
  });

  it('refuses literals without a packet, in any spelling', async (t) => {
    const server = await serve(t, (_req, res) => res.end());
    const policy = policyFor(t, { cidrs: [] });
    for (const host of ['127.0.0.1', '2130706433', '0x7f.1', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0']) {
      await assert.rejects(policy.fetch(`http://${host}:${server.port}/`), refusedWith('address'), host);
    }
    assert.equal(server.connections.length, 0);
  });

  it('judges a literal in the connector too, for whoever gets there without a URL check', async (t) => {
    const server = await serve(t, (_req, res) => res.end());
    const guard = { resolve: async () => [LOOPBACK], check: refuse };
    await assert.rejects(connectWith(guard, '127.0.0.1', server.port), /refused by the guard/);
    await assert.rejects(connectWith(guard, '[::1]', server.port), /refused by the guard/);
    assert.equal(server.connections.length, 0);
  });

  it('judges the address at the other end, and sends it nothing', async (t) => {
    const server = await serve(t, (_req, res) => res.end());
    const guard = { resolve: async () => [LOOPBACK], check: refuse };
    await assert.rejects(connectWith(guard, 'api.example.com', server.port), /refused by the guard/);
    assert.equal(server.requests.length, 0);
  });
});

function refuse(): never {
  throw new Error('refused by the guard');
}

async function connectWith(
  guard: Parameters<typeof createConnector>[0]['guard'],
  hostname: string,
  port: number,
): Promise<void> {
  const connect = createConnector({ guard, trust: 'none', connectTimeoutMs: 1000 });
  const agent = new Agent({ connect });
  try {
    await agent.request({ origin: `http://${hostname}:${port}`, path: '/', method: 'GET' });
  } finally {
    await agent.destroy();
  }
}

describe('fetch, kept-alive connections', () => {
  it('are reused within one trust', async (t) => {
    const server = await serve(t, (_req, res) => res.end('ok'));
    const policy = policyFor(t);
    for (let round = 0; round < 10; round++) await (await policy.fetch(server.origin)).text();
    assert.equal(server.requests.length, 10);
    // undici may open a second one while it still tidies up after the first answer.
    assert.ok(server.connections.length <= 2, `${server.connections.length} connections`);
  });

  it('that a URL exception opened serve no other path of the origin', async (t) => {
    const server = await serve(t, (_req, res) => res.end('ok'));
    const origin = `http://hooks.example.com:${server.port}`;
    const policy = policyFor(t, {
      cidrs: [],
      urls: [`${origin}/hooks`],
      names: { 'hooks.example.com': ['127.0.0.1'] },
    });
    assert.equal(await (await policy.fetch(`${origin}/hooks/a`)).text(), 'ok');
    await assert.rejects(policy.fetch(`${origin}/admin`), refusedWith('address'));
    assert.deepEqual(
      server.requests.map((req) => req.url),
      ['/hooks/a'],
    );
  });

  it('end with the policy, and open bodies with them', async (t) => {
    const server = await serve(t, (_req, res) => res.write('first'));
    const policy = policyFor(t);
    const response = await policy.fetch(server.origin);
    await policy.close();
    await assert.rejects(response.text(), { name: 'TypeError' });
    await assert.rejects(policy.fetch(server.origin), { name: 'TypeError' });
  });
});

describe('fetch, TLS', () => {
  const fixture = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8');
  const identity = { key: fixture('key.pem'), cert: fixture('cert.pem') };

  it('asks for the name and checks the certificate against it, though an address is dialled', async (t) => {
    const servernames: unknown[] = [];
    const server = https.createServer(identity, (_req, res) => res.end('secret'));
    server.on('secureConnection', (socket: tls.TLSSocket) => servernames.push(socket.servername));
    server.on('tlsClientError', () => {});
    const { port } = await listen(t, server, '127.0.0.1');
    const names = { 'tls.example.com': ['127.0.0.1'], 'other.example.com': ['127.0.0.1'] };
    const before = policyFor(t, { names });
    await assert.rejects(
      before.fetch(`https://tls.example.com:${port}/`),
      failedWith('DEPTH_ZERO_SELF_SIGNED_CERT'),
    );

    const trusted = tls.getCACertificates('default');
    tls.setDefaultCACertificates([...trusted, identity.cert]);
    t.after(() => tls.setDefaultCACertificates(trusted));
    const policy = policyFor(t, { names });
    assert.equal(await (await policy.fetch(`https://tls.example.com.:${port}/`)).text(), 'secret');
    assert.equal(servernames.at(-1), 'tls.example.com');
    assert.equal(await (await policy.fetch(`https://127.0.0.1:${port}/`)).text(), 'secret');
    assert.equal(servernames.at(-1), false);
    await assert.rejects(
      policy.fetch(`https://other.example.com:${port}/`),
      failedWith('ERR_TLS_CERT_ALTNAME_INVALID'),
    );
    await assert.rejects(
      policy.fetch(`https://other.example.com:${port}/`, { headers: { host: 'tls.example.com' } }),
      failedWith('ERR_TLS_CERT_ALTNAME_INVALID'),
    );
  });
});

describe('fetch, options of the caller', () => {
  it('do not lead around the policy', async (t) => {
    const server = await serve(t, (_req, res) => res.end());
    const policy = policyFor(t, { cidrs: [] });
    const own = new Agent();
    t.after(() => own.destroy());
    const options: Record<string, unknown>[] = [
      { dispatcher: own },
      { agent: own },
      { client: own },
      { socketPath: '/var/run/docker.sock' },
      { connect: { socketPath: '/var/run/docker.sock' } },
      { lookup: (_h: string, _o: unknown, done: (...args: unknown[]) => void) => done(null, '127.0.0.1', 4) },
      { proxy: server.origin },
      { origin: server.origin, path: '/' },
      { headers: { host: `127.0.0.1:${server.port}` } },
      { method: 'GET', redirect: 'manual', localAddress: '127.0.0.1', servername: 'x' },
      Object.create({ dispatcher: own }),
    ];
    for (const init of options) {
      await assert.rejects(policy.fetch(`http://127.0.0.1:${server.port}/`, init), refusedWith('address'));
      await assert.rejects(policy.fetch('http://localhost/', init), refusedWith('hostname'));
    }
    assert.equal(server.connections.length, 0);
  });

  it('nor do they choose another way to a target that is admitted', async (t) => {
    const server = await serve(t, (req, res) => res.end(req.headers.host));
    const policy = policyFor(t);
    const dispatcher = new Agent();
    await dispatcher.destroy();
    const response = await policy.fetch(server.origin, {
      dispatcher,
      headers: { Host: 'metadata.google.internal', Connection: 'x', 'Transfer-Encoding': 'chunked' },
    });
    assert.equal(await response.text(), `127.0.0.1:${server.port}`);
    const [request] = server.requests;
    assert.equal(request?.headers.connection, 'keep-alive');
    assert.equal(request?.headers['transfer-encoding'], undefined);
  });

  it('nor do proxies of the environment', async (t) => {
    const proxy = await serve(t, (_req, res) => res.end('proxied'));
    const server = await serve(t, (_req, res) => res.end('direct'));
    const saved = { ...process.env };
    t.after(() => {
      process.env = saved;
    });
    Object.assign(process.env, {
      HTTP_PROXY: proxy.origin,
      http_proxy: proxy.origin,
      ALL_PROXY: proxy.origin,
      NODE_USE_ENV_PROXY: '1',
      NO_PROXY: '',
    });
    assert.equal(await (await policyFor(t).fetch(server.origin)).text(), 'direct');
    assert.equal(proxy.connections.length, 0);
  });

  it('refuses methods that tunnel or echo', async (t) => {
    const server = await serve(t, (_req, res) => res.end());
    const policy = policyFor(t);
    for (const method of ['CONNECT', 'connect', 'TRACE', 'Track']) {
      await assert.rejects(policy.fetch(server.origin, { method }), refusedWith('method'));
    }
    assert.equal(server.connections.length, 0);
  });

  it('refuses what the standard fetch refuses, and integrity, which it would not check', async (t) => {
    const policy = policyFor(t);
    for (const init of [
      { method: 'BAD METHOD' },
      { headers: { 'bad name': 'x' } },
      { headers: { a: 'b\r\nc: d' } },
      { method: 'GET', body: 'x' },
      { redirect: 'nowhere' as 'follow' },
      { signal: 1 as never },
      { integrity: 'sha256-AAAA' },
    ]) {
      await assert.rejects(policy.fetch('http://127.0.0.1:1/', init), { name: 'TypeError' });
    }
  });
});

describe('fetch, the signal', () => {
  it('that is aborted already sends nothing', async (t) => {
    const server = await serve(t, (_req, res) => res.end());
    const reason = new Error('not now');
    const pending = policyFor(t).fetch(server.origin, { signal: AbortSignal.abort(reason) });
    await assert.rejects(pending, (error) => error === reason);
    assert.equal(server.connections.length, 0);
  });

  it('ends a request that waits for its answer, and its connection', async (t) => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const server = await serve(t, () => controller.abort(reason));
    const pending = policyFor(t).fetch(server.origin, { signal: controller.signal });
    await Promise.all([once(server.events, 'closed'), assert.rejects(pending, (error) => error === reason)]);
  });

  it('ends a body that is being read, and its connection', async (t) => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const server = await serve(t, (_req, res) => res.write('first'));
    const response = await policyFor(t).fetch(server.origin, { signal: controller.signal });
    const reader = response.body?.getReader();
    await reader?.read();
    const closed = once(server.events, 'closed');
    controller.abort(reason);
    await assert.rejects(Promise.resolve(reader?.read()), (error) => error === reason);
    await closed;
  });
});

describe('fetch, deadlines', () => {
  it('for the head of the answer', async (t) => {
    const server = await serve(t, () => {});
    const policy = policyFor(t, { limits: { headersTimeoutMs: 30 } });
    await assert.rejects(policy.fetch(server.origin), {
      name: 'TimeoutError',
      message: /head of the answer/,
    });
  });

  it('for the next byte of the body', async (t) => {
    const server = await serve(t, (_req, res) => res.write('first'));
    const policy = policyFor(t, { limits: { bodyTimeoutMs: 30 } });
    const response = await policy.fetch(server.origin);
    await assert.rejects(response.text(), { name: 'TimeoutError', message: /more of the body/ });
  });

  it('for everything, a body that trickles included', async (t) => {
    const server = await serve(t, (req, res) => {
      const timer = setInterval(() => res.write('.'), 5);
      req.socket.on('close', () => clearInterval(timer));
    });
    const policy = policyFor(t, { limits: { totalTimeoutMs: 80 } });
    const response = await policy.fetch(server.origin);
    await assert.rejects(response.text(), { name: 'TimeoutError', message: /the whole request/ });
  });

  it('leaves the caller time between reads', async (t) => {
    const server = await serve(t, (_req, res) => res.end('x'.repeat(300_000)));
    const policy = policyFor(t, { limits: { bodyTimeoutMs: 30 } });
    const response = await policy.fetch(server.origin);
    const reader = response.body?.getReader();
    const first = await reader?.read();
    await new Promise((resolve) => setTimeout(resolve, 60));
    let total = first?.value?.byteLength ?? 0;
    for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
      total += next.value?.byteLength ?? 0;
    }
    assert.equal(total, 300_000);
  });
});
