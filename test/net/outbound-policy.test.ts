import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OutboundConfig } from '../../src/config/types.ts';
import { SSRFBlockedError } from '../../src/errors.ts';
import type { LookupAll } from '../../src/net/guard.ts';
import { createOutboundPolicy, type OutboundPolicy } from '../../src/net/outbound-policy.ts';
import { NAMES, VECTORS } from './vectors.ts';

const NO_EXCEPTIONS: OutboundConfig = { allowPrivate: false, hosts: [], cidrs: [], urls: [] };

const tableLookup: LookupAll = async (name) => {
  const answers = NAMES[name];
  if (answers === undefined) throw new Error(`getaddrinfo ENOTFOUND ${name}`);
  return answers.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
};

function policyWith(exceptions: Partial<OutboundConfig>, lookup: LookupAll = tableLookup): OutboundPolicy {
  return createOutboundPolicy({ ...NO_EXCEPTIONS, ...exceptions }, { lookup });
}

/** The normalised URL, or the reason of the refusal. */
async function outcome(policy: OutboundPolicy, url: string | URL): Promise<string> {
  try {
    return await policy.validate(url);
  } catch (error) {
    assert.ok(error instanceof SSRFBlockedError, `not a refusal: ${error}`);
    assert.equal(error.code, 'ssrf_blocked');
    return error.reason;
  }
}

describe('validate, Plugin Context: SSRF Prevention', () => {
  const policy = policyWith({});

  it('has at least 200 different vectors', () => {
    assert.ok(new Set(VECTORS.map(([url]) => url)).size >= 200);
    assert.equal(new Set(VECTORS.map(([url]) => url)).size, VECTORS.length);
  });

  for (const [url, expected] of VECTORS) {
    it(`${JSON.stringify(url.slice(0, 80))} -> ${expected}`, async () => {
      assert.equal(await outcome(policy, url), expected);
    });
  }

  it('gives back a URL that it admits again, unchanged', async () => {
    for (const [, expected] of VECTORS.filter(([, text]) => text.startsWith('http'))) {
      assert.equal(await outcome(policy, expected), expected);
    }
  });

  it('takes URL objects', async () => {
    assert.equal(await outcome(policy, new URL('https://example.com./x')), 'https://example.com/x');
    assert.equal(await outcome(policy, new URL('http://a:b@example.com/')), 'userinfo');
    assert.equal(await outcome(policy, new URL('http://127.1/')), 'address');
  });

  it('refuses what is no text and no URL', async () => {
    for (const value of [
      undefined,
      null,
      1,
      {},
      [],
      { href: 'http://8.8.8.8/' },
      new Request('http://8.8.8.8/'),
    ]) {
      assert.equal(await outcome(policy, value as unknown as string), 'invalid_url');
    }
  });

  it('reads an object once, so that it cannot change between check and use', async () => {
    let reads = 0;
    class Shifty extends URL {
      override get href(): string {
        reads += 1;
        return reads === 1 ? 'http://127.0.0.1/' : 'http://8.8.8.8/';
      }
    }
    assert.equal(await outcome(policy, new Shifty('http://8.8.8.8/')), 'address');
  });

  it('keeps query, credentials and answers out of the message', async () => {
    await assert.rejects(policy.validate('http://u:secret@example.com/?key=secret'), (error: Error) => {
      return !error.message.includes('secret');
    });
    await assert.rejects(policy.validate('http://private.example.com/?key=secret'), (error: Error) => {
      return !error.message.includes('secret') && !error.message.includes('10.0.0.5');
    });
  });
});

describe('validate, look-ups', () => {
  it('refuses when the resolver fails, throws at once, hangs or answers nonsense', async () => {
    const bad: Record<string, LookupAll> = {
      fails: () => Promise.reject(new Error('EAI_AGAIN')),
      throws: () => {
        throw new Error('boom');
      },
      hangs: () => new Promise(() => {}),
      nothing: async () => [],
      undefined: async () => undefined as never,
      nulls: async () => [null] as never,
    };
    for (const [name, lookup] of Object.entries(bad)) {
      const policy = createOutboundPolicy(NO_EXCEPTIONS, { lookup, limits: { lookupTimeoutMs: 20 } });
      assert.equal(await outcome(policy, 'http://api.example.com/'), 'dns', name);
    }
  });

  it('judges an answer by its text, not by the family that the resolver states', async () => {
    const policy = policyWith({}, async () => [{ address: '::ffff:10.0.0.1', family: 4 }]);
    assert.equal(await outcome(policy, 'http://api.example.com/'), 'address');
  });

  it('never asks the resolver for what is refused by its name', async () => {
    const asked: string[] = [];
    const policy = policyWith({}, async (name) => {
      asked.push(name);
      return [{ address: '8.8.8.8', family: 4 }];
    });
    for (const url of ['http://localhost/', 'http://x.internal/', 'http://redis/', 'http://127.0.0.1/']) {
      await outcome(policy, url);
    }
    assert.deepEqual(asked, []);
  });

  it('leaves the event loop free while the resolver is slow', async () => {
    const answer = Promise.withResolvers<{ address: string; family: number }[]>();
    const pending = policyWith({}, () => answer.promise).validate('http://api.example.com/');
    await new Promise((resolve) => setImmediate(resolve));
    answer.resolve([{ address: '8.8.8.8', family: 4 }]);
    assert.equal(await pending, 'http://api.example.com/');
  });
});

/** Which URLs each exception opens (true) and which it must leave shut (false). */
const EXCEPTIONS: readonly [title: string, rules: Partial<OutboundConfig>, urls: Record<string, boolean>][] =
  [
    [
      'ALLOW_PRIVATE admits private ranges and nothing else',
      { allowPrivate: true },
      {
        'http://10.0.0.1/': true,
        'http://172.16.0.1/': true,
        'http://192.168.0.1/': true,
        'http://[fd12:3456::1]/': true,
        'http://private.example.com/': true,
        'http://ula.example.com/': true,
        'http://mixed.example.com/': true,
        'http://127.0.0.1/': false,
        'http://[::1]/': false,
        'http://loop.example.com/': false,
        'http://169.254.1.1/': false,
        'http://[fe80::1]/': false,
        'http://169.254.169.254/': false,
        'http://[fd00:ec2::254]/': false,
        'http://100.100.100.200/': false,
        'http://168.63.129.16/': false,
        'http://100.64.0.1/': false,
        'http://0.0.0.0/': false,
        'http://[::]/': false,
        'http://224.0.0.1/': false,
        'http://255.255.255.255/': false,
        'http://192.0.2.1/': false,
        'http://[::ffff:10.0.0.1]/': false,
        'http://localhost/': false,
        'http://db.internal/': false,
        'http://redis/': false,
      },
    ],
    [
      'a range admits its addresses, also behind names',
      {
        cidrs: [
          '10.0.0.0/24',
          '100.64.0.0/10',
          '127.0.0.1/32',
          'fd12:3456::/32',
          '::1/128',
          '169.254.10.0/24',
        ],
      },
      {
        'http://10.0.0.5/': true,
        'http://private.example.com/': true,
        'http://mixed.example.com/': true,
        'http://10.0.1.1/': false,
        'http://100.64.9.9/': true,
        'http://100.100.100.200/': false,
        'http://127.0.0.1/': true,
        'http://loop.example.com/': true,
        'http://127.0.0.2/': false,
        'http://[fd12:3456::9]/': true,
        'http://[::1]/': true,
        'http://link.example.com/': true,
        'http://169.254.11.1/': false,
        'http://[::ffff:10.0.0.5]/': false,
        'http://[::ffff:127.0.0.1]/': false,
        'http://localhost/': false,
      },
    ],
    [
      'a wide range opens no loopback, link-local, metadata or wrapped address by the way',
      { cidrs: ['0.0.0.0/0', '::/0'] },
      {
        'http://10.0.0.1/': true,
        'http://192.0.2.1/': true,
        'http://[4000::1]/': true,
        'http://127.0.0.1/': false,
        'http://[::1]/': false,
        'http://169.254.1.1/': false,
        'http://169.254.169.254/': false,
        'http://168.63.129.16/': false,
        'http://[fd00:ec2::254]/': false,
        'http://0.0.0.0/': false,
        'http://224.0.0.1/': false,
        'http://[ff02::1]/': false,
        'http://[::ffff:10.0.0.1]/': false,
        'http://[2002:a00:1::]/': false,
      },
    ],
    [
      'a range of the link-local block leaves metadata shut',
      { cidrs: ['169.254.0.0/16', 'fe80::/10'] },
      {
        'http://169.254.1.1/': true,
        'http://[fe80::1]/': true,
        'http://169.254.169.254/': false,
        'http://169.254.170.2/': false,
      },
    ],
    [
      'a range of exactly one metadata address opens that one',
      { cidrs: ['169.254.169.254/32', 'fd00:ec2::254/128'] },
      {
        'http://169.254.169.254/': true,
        'http://meta.example.com/': true,
        'http://[fd00:ec2::254]/': true,
        'http://169.254.169.253/': false,
        'http://169.254.170.2/': false,
        'http://metadata.google.internal/': false,
      },
    ],
    [
      'NAT64 opens for public IPv4 behind it',
      { cidrs: ['64:ff9b::/96'] },
      {
        'http://[64:ff9b::808:808]/': true,
        'http://nat64.example.com/': true,
        'http://[64:ff9b::7f00:1]/': false,
        'http://[64:ff9b::a9fe:a9fe]/': false,
        'http://[64:ff9b::a00:1]/': false,
        'http://[64:ff9b:1::808:808]/': false,
      },
    ],
    [
      'a host is trusted by name, with its private and loopback answers',
      {
        hosts: [
          'loop.example.com',
          'private.example.com',
          'link.example.com',
          'meta.example.com',
          'redis',
          '127.0.0.1',
        ],
      },
      {
        'http://loop.example.com/': true,
        'http://LOOP.example.com.:8080/x': true,
        'http://private.example.com/': true,
        'http://127.0.0.1:9/': true,
        'http://0x7f.1/': true,
        'http://127.0.0.2/': false,
        'http://loop6.example.com/': false,
        'http://x.loop.example.com/': false,
        'http://link.example.com/': false,
        'http://meta.example.com/': false,
        'http://redis/': false,
        'ftp://loop.example.com/': false,
        'http://u@loop.example.com/': false,
      },
    ],
    [
      'a wildcard host is every name below, not the name itself',
      { hosts: ['*.example.com', '[::1]'] },
      {
        'http://loop.example.com/': true,
        'http://127.0.0.1.nip.example.com/': true,
        'http://[::1]/': true,
        'http://example.com/': true,
        'http://loop.example.com.evil.test/': false,
        'http://evilexample.com/': false,
        'http://meta.example.com/': false,
        'http://mapped.example.com/': false,
      },
    ],
    [
      'a URL prefix matches its origin and whole path segments',
      { urls: ['http://10.0.0.1:8080/hooks', 'http://private.example.com/a/'] },
      {
        'http://10.0.0.1:8080/hooks': true,
        'http://10.0.0.1:8080/hooks/': true,
        'http://10.0.0.1:8080/hooks/x?y=%2f': true,
        'http://10.0.0.1:8080/hooks?x': true,
        'http://167772161:8080/hooks': true,
        'http://10.0.0.1:8080/hooksx': false,
        'http://10.0.0.1:8080/': false,
        'http://10.0.0.1/hooks': false,
        'https://10.0.0.1:8080/hooks': false,
        'http://10.0.0.1:8080/hooks/../admin': false,
        'http://10.0.0.1:8080/hooks/%2e%2e/admin': false,
        'http://10.0.0.1:8080/hooks/..%2fadmin': false,
        'http://10.0.0.1:8080/hooks/..%5Cadmin': false,
        'http://10.0.0.1:8080/hooks/..%252fadmin': false,
        'http://10.0.0.1:8080/HOOKS': false,
        'http://private.example.com/a/b': true,
        'http://private.example.com/a': false,
        'http://private.example.com/b': false,
      },
    ],
  ];

describe("the operator's exceptions", () => {
  for (const [title, rules, urls] of EXCEPTIONS) {
    it(title, async () => {
      const policy = policyWith(rules);
      for (const [url, admitted] of Object.entries(urls)) {
        const result = await outcome(policy, url);
        assert.equal(result.startsWith('http'), admitted, `${url} -> ${result}`);
      }
    });
  }

  it('that cannot be read are a configuration error that names the variable', () => {
    assert.throws(() => policyWith({ cidrs: ['10.0.0.0/33'] }), {
      code: 'config_invalid',
      message: /LLMROUTER_OUTBOUND_CIDR_ALLOWLIST: "10\.0\.0\.0\/33"/,
    });
    assert.throws(() => policyWith({ urls: ['http://x/?q'] }), {
      message: /LLMROUTER_OUTBOUND_URL_ALLOWLIST/,
    });
    assert.throws(() => policyWith({ urls: ['nonsense'] }), { code: 'config_invalid' });
  });
});

describe('trusting', () => {
  it('admits what lies below the given URLs, for that caller alone', async () => {
    const policy = policyWith({});
    const trusting = policy.trusting(['http://127.0.0.1:8080/v1']);
    const below = 'http://127.0.0.1:8080/v1/embeddings';
    assert.equal(await trusting.validate(below), below);
    for (const url of ['http://127.0.0.1:8080/other', 'http://127.0.0.1:9090/v1', 'http://10.0.0.1/v1']) {
      await assert.rejects(trusting.validate(url), { code: 'ssrf_blocked', reason: 'address' });
    }
    await assert.rejects(policy.validate(below), { code: 'ssrf_blocked', reason: 'address' });
  });
});
