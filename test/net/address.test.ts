import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type AddressKind, classifyAddress, nat64Target } from '../../src/net/address.ts';
import { createOutboundPolicy } from '../../src/net/outbound-policy.ts';

/**
 * The IANA special-purpose registries and the addresses of clouds, read independently of ipaddr.js. One list per
 * family: a BlockList takes an IPv4 address for a mapped one too.
 */
const SPECIAL_IPV4 = blockList('ipv4', [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...[
    '192.0.0.0/24',
    '192.0.2.0/24',
    '192.31.196.0/24',
    '192.52.193.0/24',
    '192.88.99.0/24',
    '192.168.0.0/16',
  ],
  ...[
    '192.175.48.0/24',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/3',
    '168.63.129.16/32',
  ],
]);
const SPECIAL_IPV6 = blockList('ipv6', [
  ...['::/3', '4000::/2', '8000::/1'],
  ...['2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20'],
]);

function blockList(family: 'ipv4' | 'ipv6', ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits] = range.split('/');
    list.addSubnet(address, Number(bits), family);
  }
  return list;
}

const policy = createOutboundPolicy({ allowPrivate: false, hosts: [], cidrs: [], urls: [] });

async function admitted(host: string): Promise<string | null> {
  return policy.validate(`http://${host}/`).catch((error: { code?: unknown }) => {
    assert.equal(error.code, 'ssrf_blocked');
    return null;
  });
}

/** Near the borders of special ranges as often as anywhere. */
const ipv4 = fc.oneof(
  fc.integer({ min: 0, max: 0xffffffff }),
  fc
    .tuple(
      fc.constantFrom(0x0a000000, 0x64400000, 0x7f000000, 0xa9fe0000, 0xac100000, 0xc0a80000, 0xc0000000),
      fc.integer({ min: -2, max: 0x1000001 }),
    )
    .map(([base, offset]) => (base + offset) >>> 0),
  fc.constantFrom(0xa9fea9fe, 0xa83f8110, 0x7f000001, 0, 0xffffffff, 0x08080808),
);

/** One number of an IPv4 spelling, as inet_aton and the URL standard read it. */
const spell = fc.constantFrom<(part: number) => string>(
  (part) => String(part),
  (part) => `0${part.toString(8)}`,
  (part) => `000${part.toString(8)}`,
  (part) => `0x${part.toString(16)}`,
  (part) => `0X00${part.toString(16).toUpperCase()}`,
);

/** Other characters that a URL parser turns into the same host. */
const disguise = fc.constantFrom<(text: string) => string>(
  (text) => text,
  (text) => `${text}.`,
  (text) => text.replace(/[0-9]/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))),
  (text) => text.replaceAll('.', '。'),
  (text) => text.replaceAll('.', '%2e'),
  (text) => text.replace(/./g, (char) => `%${char.charCodeAt(0).toString(16)}`),
);

/** `parts` numbers: the last takes all bytes that are left. */
function joinParts(value: number, parts: number, spellings: readonly ((part: number) => string)[]): string {
  const bytes = octets(value);
  const head = bytes.slice(0, parts - 1);
  const tail = bytes.slice(parts - 1).reduce((sum, byte) => sum * 256 + byte, 0);
  return [...head, tail].map((part, index) => spellings[index]?.(part) ?? String(part)).join('.');
}

function octets(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

const hex = (part: number): string => part.toString(16);

/** Every way to carry an IPv4 address in an IPv6 one. */
const WRAPPINGS: readonly ((high: string, low: string) => string)[] = [
  (high, low) => `::ffff:${high}:${low}`,
  (high, low) => `::${high}:${low}`,
  (high, low) => `::ffff:0:${high}:${low}`,
  (high, low) => `64:ff9b::${high}:${low}`,
  (high, low) => `64:ff9b:1::${high}:${low}`,
  (high, low) => `64:ff9b:1:${high}:${low}00::`,
  (high, low) => `2002:${high}:${low}::1`,
  (high, low) => `2001:0:${high}:${low}::1`,
  (high, low) => `2001::${high}:${low}`,
  (high, low) => `2606:4700::5efe:${high}:${low}`,
  (high, low) => `2606:4700::200:5efe:${high}:${low}`,
];

const ipv6 = fc.oneof(
  fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }),
  fc
    .tuple(
      fc.constantFrom(
        [0x2001],
        [0x2001, 0xdb8],
        [0x2002],
        [0x3fff],
        [0x2606, 0x4700],
        [0xfc00],
        [0xfe80],
        [0x64, 0xff9b],
      ),
      fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }),
    )
    .map(([prefix, rest]) => [...prefix, ...rest].slice(0, 8)),
);

const spellIPv6 = fc.constantFrom<(parts: readonly number[]) => string>(
  (parts) => parts.map(hex).join(':'),
  (parts) => parts.map((part) => hex(part).padStart(4, '0')).join(':'),
  (parts) => parts.map((part) => hex(part).toUpperCase()).join(':'),
  (parts) =>
    `${parts.slice(0, 6).map(hex).join(':')}:${parts
      .slice(6)
      .flatMap((part) => [part >> 8, part & 255])
      .join('.')}`,
);

describe('addresses in any spelling', () => {
  it('IPv4 is admitted exactly when it is public, and normalised', async () => {
    await fc.assert(
      fc.asyncProperty(
        ipv4,
        fc.integer({ min: 1, max: 4 }),
        fc.array(spell, { minLength: 4, maxLength: 4 }),
        disguise,
        async (value, parts, spellings, wear) => {
          const dotted = octets(value).join('.');
          const expected = SPECIAL_IPV4.check(dotted) ? null : `http://${dotted}/`;
          assert.equal(await admitted(wear(joinParts(value, parts, spellings))), expected);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('IPv4 inside IPv6 is never admitted', async () => {
    await fc.assert(
      fc.asyncProperty(ipv4, fc.constantFrom(...WRAPPINGS), fc.boolean(), async (value, wrap, upper) => {
        const text = wrap(hex(value >>> 16), hex(value & 0xffff));
        assert.equal(await admitted(`[${upper ? text.toUpperCase() : text}]`), null);
      }),
      { numRuns: 3000 },
    );
  });

  it('IPv6 is admitted exactly when it is public, in every spelling', async () => {
    await fc.assert(
      fc.asyncProperty(ipv6, spellIPv6, async (parts, write) => {
        const text = parts.map(hex).join(':');
        const isIsatap = ((parts[4] ?? 0) & 0xfcff) === 0 && parts[5] === 0x5efe;
        const isPublic = !isIsatap && !SPECIAL_IPV6.check(text, 'ipv6');
        assert.equal((await admitted(`[${write(parts)}]`)) !== null, isPublic);
      }),
      { numRuns: 3000 },
    );
  });

  it('no text makes it throw anything but a refusal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.webUrl()), async (text) => {
        await policy.validate(`ftp://${text}`).then(
          () => assert.fail('admitted'),
          (error: { code?: unknown }) => assert.equal(error.code, 'ssrf_blocked'),
        );
        assert.equal(typeof classifyAddress(text), 'string');
      }),
      { numRuns: 1000 },
    );
  });
});

describe('classifyAddress', () => {
  const cases: Record<AddressKind, readonly string[]> = {
    public: ['8.8.8.8', '2606:4700::1111'],
    private: ['10.0.0.1', '172.16.0.1', '192.168.0.1', 'fc00::1', 'fdff::1'],
    loopback: ['127.0.0.1', '127.255.255.255', '::1'],
    'link-local': ['169.254.0.1', 'fe80::1', 'febf::1'],
    metadata: [
      '169.254.169.254',
      '168.63.129.16',
      '100.100.100.200',
      'fd00:ec2::254',
      'fd20:ce::254',
      'fd00:42::42',
      'fd00:c1::a9fe:a9fe',
    ],
    unspecified: ['0.0.0.0', '0.1.2.3', '::'],
    multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1'],
    broadcast: ['255.255.255.255'],
    nat64: ['64:ff9b::', '64:ff9b::808:808'],
    wrapped: ['::ffff:8.8.8.8', '::8.8.8.8', '64:ff9b:1::1', '2002::1', '2001::1', '::ffff:0:1.2.3.4'],
    reserved: [
      '100.64.0.1',
      '192.0.2.1',
      '198.18.0.1',
      '240.0.0.1',
      '100::1',
      '2001:db8::1',
      '4000::1',
      '64:ff9b:2::1',
    ],
    invalid: ['', 'x', '1.2.3', '010.0.0.1', '0x7f.1', '[::1]', 'fe80::1%eth0', '1.1.1.1 ', '8.8.8.8/32'],
  };
  for (const [kind, texts] of Object.entries(cases)) {
    it(`knows ${kind} addresses`, () => {
      for (const text of texts) assert.equal(classifyAddress(text), kind, text);
    });
  }

  it('finds the IPv4 address behind NAT64 and behind nothing else', () => {
    assert.equal(nat64Target('64:ff9b::808:808'), '8.8.8.8');
    assert.equal(nat64Target('::ffff:8.8.8.8'), null);
    assert.equal(nat64Target('8.8.8.8'), null);
  });
});
