import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ENTITIES } from '../entities.ts';
import { toRules } from '../rules.ts';
import { Scanner } from '../scanner.ts';

/** By kind: what is found, and what only looks like it. */
const SAMPLES: Readonly<Record<string, readonly [found: readonly string[], ignored: readonly string[]]>> = {
  email: [
    ['ada@example.com', 'a.b+c_d%e-f@sub.example.co.uk', 'jürgen@müller.de', 'X@Y.IO'],
    ['@example.com', 'ada@', 'ada@localhost', 'a @ b.com', 'ada@example.', 'ada@-x.com'],
  ],
  phone: [
    [
      '+1 415 555 2671',
      '+49 (0)30 1234567',
      '0049 30 1234567',
      '(415) 555-2671',
      '415-555-2671',
      '030 / 1234567',
      '+14155552671',
      '06 12 34 56 78',
    ],
    [
      '2024-01-02',
      '01.02.2024',
      '1234567',
      '3.14159265358',
      'v1.2.3-20240102',
      '1,234,567.89',
      '20240102030405',
    ],
  ],
  credit_card: [
    [
      '4111 1111 1111 1111',
      '4111111111111111',
      '5555-5555-5555-4444',
      '378282246310005',
      '30569309025904',
      '6011 1111 1111 1117',
      '2223003122003222',
    ],
    ['4111 1111 1111 1112', '1234567890123456', '0000000000000000', '411111111111', '9111111111111111'],
  ],
  iban: [
    [
      'DE89 3704 0044 0532 0130 00',
      'GB33BUKB20201555555555',
      'fr1420041010050500013m02606',
      'NO93 8601 1117 947',
    ],
    ['DE88 3704 0044 0532 0130 00', 'XX33BUKB20201555555555', 'GB33BUKB2020155555555'],
  ],
  ipv4: [
    ['192.168.0.1', '8.8.8.8', '255.255.255.255'],
    ['256.1.1.1', '1.2.3', '1.2.3.4.5', 'v1.2.3.4'],
  ],
  us_ssn: [
    ['078-05-1120', '219 09 9999'],
    ['000-12-3456', '666-12-3456', '900-12-3456', '123-00-4567', '123-45-0000', '123-45 6789', '123456789'],
  ],
  api_key: [
    [
      `sk-${'a1B2'.repeat(6)}`,
      `sk-proj-${'a1_-'.repeat(10)}`,
      `ghp_${'a1B2'.repeat(9)}`,
      'AKIAIOSFODNN7EXAMPLE',
      `AIza${'a1B2c'.repeat(7)}`,
      `xoxb-${'1'.repeat(12)}`,
      'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl',
      `-----BEGIN PRIVATE KEY-----\n${'QUJD'.repeat(16)}\n${'QUJD'.repeat(16)}\nQUI=\n-----END PRIVATE KEY-----`,
      `-----BEGIN RSA PRIVATE KEY-----\\n${'QUJD'.repeat(16)}\\nQUI=\\n-----END RSA PRIVATE KEY-----`,
    ],
    ['sk-short', 'risk-assessment-of-the-whole-thing', 'ghp_short', 'eyJ', '-----BEGIN PUBLIC KEY-----'],
  ],
};

const AROUND = fc.constantFrom('', ' ', '\n', '"', ': ', ' (', ', ', '. ');

describe('the kinds of data', () => {
  for (const [entity, [found, ignored]] of Object.entries(SAMPLES)) {
    const find = ENTITIES.get(entity);
    assert.ok(find, entity);
    const all = (text: string): string[] =>
      [...find(text, 0)].map(({ start, end }) => text.slice(start, end));

    it(`finds ${entity} wherever it stands`, () => {
      fc.assert(
        fc.property(fc.constantFrom(...found), AROUND, AROUND, (sample, before, after) => {
          assert.deepEqual(
            all(`word${before === '' ? ' ' : before}${sample}${after === '' ? ' ' : after}word`),
            [sample],
          );
          assert.deepEqual(all(sample), [sample]);
        }),
      );
    });

    it(`does not take for ${entity} what only looks like it`, () => {
      for (const sample of ignored) assert.deepEqual(all(sample), [], sample);
    });
  }

  it('are all tested', () => {
    assert.deepEqual([...ENTITIES.keys()].sort(), Object.keys(SAMPLES).sort());
  });

  it('finds a card between other numbers', () => {
    const find = ENTITIES.get('credit_card');
    const text = 'order 17 4111 1111 1111 1111 99';
    assert.deepEqual([...(find?.(text, 0) ?? [])], [{ start: 9, end: 28 }]);
  });

  it('takes time in proportion to the text', () => {
    const scanner = new Scanner(toRules(SETTINGS), 512);
    for (const unit of [
      'a',
      '1',
      '1 ',
      'a@',
      'a.',
      '1.',
      '-',
      'eyJ',
      'sk-',
      '-----BEGIN PRIVATE KEY-----',
      'DE89',
      '(0',
      '+1',
      'a@b.co ',
    ]) {
      const findings = scanner.scan(unit.repeat(Math.ceil(200_000 / unit.length)));
      assert.ok(Array.isArray(findings));
    }
  });
});

describe('the scanner', () => {
  it('finds what stands right behind something else', () => {
    const text = 'My numbers: 078-05-1120 (415) 555-2671, and 4111 1111 1111 1111.';
    const found = new Scanner(toRules(SETTINGS), 128).scan(text);
    assert.deepEqual(
      found.map(({ start, end, rule }) => [rule.entity, text.slice(start, end)]),
      [
        ['us_ssn', '078-05-1120'],
        ['phone', '(415) 555-2671'],
        ['credit_card', '4111 1111 1111 1111'],
      ],
    );
  });

  it('finds the same in a text that grows as in the whole', () => {
    const scanner = new Scanner(toRules(SETTINGS), 128);
    const samples = Object.values(SAMPLES)
      .flatMap(([found]) => found)
      .filter(({ length }) => length < 64);
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...samples), fc.lorem(), fc.string()), {
          minLength: 1,
          maxLength: 30,
        }),
        fc.integer({ min: 1, max: 40 }),
        (words, step) => {
          const text = words.join(' ');
          const key = {};
          for (let end = step; end < text.length; end += step) scanner.scanMore(key, text.slice(0, end));
          assert.deepEqual(scanner.scanMore(key, text), scanner.scan(text));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('begins anew when a text is not what it was', () => {
    const scanner = new Scanner(toRules(SETTINGS), 128);
    const key = {};
    scanner.scanMore(key, 'ada@example.com');
    assert.deepEqual(scanner.scanMore(key, 'Ada at example.com'), []);
  });

  it('gives what overlaps to the first rule', () => {
    const patterns = [{ name: 'staff', pattern: 'ada@\\w{1,20}\\.com' }];
    const scanner = new Scanner(toRules({ ...SETTINGS, patterns }), 128);
    assert.deepEqual(
      scanner.scan('bob@example.com, ada@example.com').map(({ rule: { entity } }) => entity),
      ['email', 'staff'],
    );
  });
});

const SETTINGS = { action: 'mask', entities: {}, replacement: '[{entity}]', patterns: [] } as const;
